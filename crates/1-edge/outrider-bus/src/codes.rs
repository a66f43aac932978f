//! Enums of numbers that keep what they have no name for, and bytes of flags.

/// Declares an enum over an unsigned integer whose unnamed values stay what they are.
macro_rules! code_enum {
    ($(#[$doc:meta])* $name:ident : $int:ty { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A number the standard gives no name, or this crate does not know.
            Unknown($int),
        }

        impl $name {
            /// All named values, in the order of their numbers.
            pub const NAMED: &[Self] = &[$(Self::$variant),*];

            /// Returns the value of a number; every number has one.
            #[must_use]
            pub const fn from_code(code: $int) -> Self {
                match code {
                    $($value => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }

            /// Returns the number.
            #[must_use]
            pub const fn code(self) -> $int {
                match self {
                    $(Self::$variant => $value,)*
                    Self::Unknown(code) => code,
                }
            }
        }
    };
}

/// Declares a byte of flags with a method for each that asks whether any of its bits is set.
macro_rules! flag_byte {
    ($(#[$doc:meta])* $name:ident { $($(#[$flag_doc:meta])* $flag:ident = $bits:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u8);

        impl $name {
            /// Takes the flags as written.
            #[must_use]
            pub const fn new(bits: u8) -> Self {
                Self(bits)
            }

            /// Returns the flags as written.
            #[must_use]
            pub const fn bits(self) -> u8 {
                self.0
            }

            $(
                $(#[$flag_doc])*
                #[must_use]
                pub const fn $flag(self) -> bool {
                    self.0 & $bits != 0
                }
            )*
        }
    };
}

pub(crate) use {code_enum, flag_byte};

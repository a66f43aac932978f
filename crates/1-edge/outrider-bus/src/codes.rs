//! Enums of numbers that keep what they have no name for.

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

pub(crate) use code_enum;

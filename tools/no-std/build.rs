fn main() {
    // No start files: the C entry point below is all there is. The C library is only there for memcpy and friends.
    println!("cargo:rustc-link-arg-bins=-nostartfiles");
    println!("cargo:rustc-link-arg-bins=-nodefaultlibs");
    println!("cargo:rustc-link-arg-bins=-lc");
}

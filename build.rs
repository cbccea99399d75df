//! Writes libtorch's folder into the binary's run path, so that it runs without LD_LIBRARY_PATH.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=build.rs");
    // Set by torch-sys, which is why it is a direct dependency.
    let Some(dir) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    // Where `make install` puts it, seen from the program: found first, so that what is installed needs no other folder.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/candist");
    // `.libtorch` is a link inside this folder: the binary must outlive it.
    let dir = std::fs::canonicalize(&dir).unwrap_or_else(|_| dir.into());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", dir.display());
}

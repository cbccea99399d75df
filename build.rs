//! Writes libtorch's folder into the binary's run path, so that it runs without LD_LIBRARY_PATH, and lists the page's files for
//! `src/page/assets.rs` to embed.

use std::path::{Path, PathBuf};

/// Ends of names of files that the page loads.
const SERVED: [&str; 7] = ["html", "css", "js", "svg", "png", "ico", "woff2"];

/// Writes `assets.rs`: a list of the files in src/page/assets, with their bytes.
fn list_assets() {
    // Cargo runs it here; what was so when it was compiled may be another copy of these sources.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join("src/page/assets");
    println!("cargo:rerun-if-changed=src/page/assets");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.rsplit_once('.').is_some_and(|(_, end)| SERVED.contains(&end)))
        .collect();
    names.sort();
    let entry = |name: &String| {
        let path = folder.join(name).display().to_string();
        format!("    Asset {{ name: {name:?}, bytes: include_bytes!({path:?}) }},\n")
    };
    let list: String = names.iter().map(entry).collect();
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    let written = std::fs::write(Path::new(&out).join("assets.rs"), format!("const ASSETS: &[Asset] = &[\n{list}];\n"));
    if let Err(error) = written {
        println!("cargo:warning=cannot list the page's files: {error}");
    }
}

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=build.rs");
    list_assets();
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

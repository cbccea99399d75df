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

/// What the linker is told of `candist`, which calls nothing of libtorch (`src/cli/engine.rs`) and is not to load it.
///
/// The linker leaves out what nothing calls, and then libraries that nothing needs. Two things keep libtorch all the same: the
/// initialisers of its C interface, which would run whether anything of that is called or not; and templates that libtorch has
/// too, which the program would offer it. Operators new and delete (`_Zn*`, `_Zd*`), which the allocator brings, are none of
/// these.
const WITHOUT_LIBTORCH: [(&str, &str, &str); 2] = [
    ("-T", "initialisers.ld", "SECTIONS { /DISCARD/ : { *torch_api*.o(.init_array) } }\nINSERT AFTER .text;\n"),
    ("--version-script", "symbols.map", "{ local: _ZN*; _ZT*; _ZS*; _ZG*; };\n"),
];

/// Has `candist` linked without libtorch, where that was tried. Elsewhere it loads libtorch and works the same.
fn leave_libtorch_out() {
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|found| found == value);
    if !(is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_ENV", "gnu"))
    {
        return;
    }
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    for (flag, name, content) in WITHOUT_LIBTORCH {
        let path = out.join(name);
        match std::fs::write(&path, content) {
            Ok(()) => println!("cargo:rustc-link-arg-bin=candist=-Wl,{flag},{}", path.display()),
            Err(error) => {
                println!("cargo:warning=candist will load libtorch: cannot write {}: {error}", path.display())
            }
        }
    }
}

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=build.rs");
    list_assets();
    leave_libtorch_out();
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

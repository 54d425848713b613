//! The import rules that the compiler does not know.

use std::fs;
use std::path::Path;

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
}

/// A shared type or helper would put one mistake on both sides of the wire.
#[test]
fn the_simulator_imports_signing_and_nothing_else_of_ours() {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sources(&root.join("src/simulator"), &mut found);
    assert!(found.len() > 15);
    for (path, text) in found {
        let ours = text.split("crate::").skip(1);
        for import in ours {
            assert!(
                import.starts_with("signing::"),
                "{path}: crate::{import:.40}"
            );
        }
    }
}

//! The workspace as cargo and the file system show it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The workspace.
#[derive(Debug)]
pub(crate) struct House {
    /// The folder of the workspace's manifest.
    pub(crate) root: PathBuf,
    /// Its packages.
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Package {
    /// Its name for cargo.
    pub(crate) name: String,
    /// The folder it lives in, relative to the root: its name in the house.
    pub(crate) folder: String,
    /// What its manifest names.
    pub(crate) dependencies: Vec<Dependency>,
}

/// What a manifest names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Dependency {
    /// The package's name for cargo.
    pub(crate) name: String,
    /// Only for tests, examples and benches.
    pub(crate) dev: bool,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    /// Everything in it.
    pub(crate) text: String,
}

impl House {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
        Self::from_metadata(&metadata).ok_or_else(|| "cargo metadata has another form than expected".to_owned())
    }

    fn from_metadata(metadata: &Value) -> Option<Self> {
        let root = PathBuf::from(metadata.get("workspace_root")?.as_str()?);
        let packages = metadata.get("packages")?.as_array()?;
        let packages = packages.iter().map(|package| Package::from_metadata(package, &root)).collect::<Option<_>>()?;
        Some(Self { root, packages })
    }

    /// All files of the house with one of these extensions, in a fixed order. What cargo and git keep is not looked at.
    pub(crate) fn files(&self, extension: &str) -> Vec<Source> {
        let mut files = Vec::new();
        collect(&self.root, &mut files, extension);
        files.sort();
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).ok()?;
            Some(Source { path: relative(&path, &self.root), text })
        };
        files.into_iter().filter_map(read).collect()
    }

    /// A command that runs at the root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let program = match program {
            "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            other => other.into(),
        };
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}

impl Package {
    fn from_metadata(package: &Value, root: &Path) -> Option<Self> {
        let manifest = PathBuf::from(package.get("manifest_path")?.as_str()?);
        let dependency = |dependency: &Value| {
            Some(Dependency {
                name: dependency.get("name")?.as_str()?.to_owned(),
                dev: dependency.get("kind")?.as_str() == Some("dev"),
            })
        };
        Some(Self {
            name: package.get("name")?.as_str()?.to_owned(),
            folder: relative(manifest.parent()?, root),
            dependencies: package.get("dependencies")?.as_array()?.iter().map(dependency).collect::<Option<_>>()?,
        })
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>, extension: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() {
            if !hidden && entry.file_name() != "target" {
                collect(&path, files, extension);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_known_by_their_folder() {
        let metadata = serde_json::json!({
            "workspace_root": "/house",
            "packages": [{
                "name": "quicast",
                "manifest_path": "/house/actors/Cargo.toml",
                "dependencies": [{ "name": "actix", "kind": null }, { "name": "proptest", "kind": "dev" }],
            }],
        });
        let house = House::from_metadata(&metadata).unwrap();
        assert_eq!(house.packages[0].folder, "actors");
        assert_eq!(house.packages[0].dependencies[0], Dependency { name: "actix".to_owned(), dev: false });
        assert!(house.packages[0].dependencies[1].dev);
    }
}

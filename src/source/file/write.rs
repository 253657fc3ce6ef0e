//! Writes an offline configuration: a directory, environment by environment,
//! or one archive; each replaced whole or not at all (`offline-config.md`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::snapshot::archive::{self, Compression, Contents, Tree};
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::tree::{ENVIRONMENT_PREFIX, environment_of, write_environment};

/// What could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct WriteError {
    path: String,
    source: io::Error,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> WriteError {
    let path = path.display().to_string();
    move |source| WriteError { path: path.clone(), source }
}

/// Writes an archive beside its place and moves it there.
///
/// # Errors
/// The disk is full, or the like; the archive before is still there then.
pub fn write_archive(path: &Path, compression: Compression, tree: &Tree) -> Result<(), WriteError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed(parent))?;
    let written = (|| {
        let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(parent)?;
        archive::write(&Contents::from(tree), compression, BufWriter::new(&mut file))?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    })();
    written.map_err(failed(path))
}

/// Writes every environment into a directory, which may be a mounted volume
/// that cannot itself be renamed, and removes those that are not there any
/// more. `generated` is the moment as people read it.
///
/// # Errors
/// The disk is full, or the like; every environment is then either the old or
/// the new one.
pub fn write_directory(
    directory: &Path,
    environments: &BTreeMap<EnvironmentId, Content>,
    generated: &str,
) -> Result<Vec<EnvironmentId>, WriteError> {
    fs::create_dir_all(directory).map_err(failed(directory))?;
    // All of it is written before anything is exchanged.
    let mut built = Vec::new();
    for (id, content) in environments {
        let place = directory.join(format!("{ENVIRONMENT_PREFIX}{id}"));
        let beside = directory.join(format!(".{ENVIRONMENT_PREFIX}{id}.tmp"));
        // A crash between two steps of an earlier exchange.
        let aside = beside.with_extension("old.tmp");
        if !place.exists() && aside.exists() {
            fs::rename(&aside, &place).map_err(failed(&place))?;
        }
        build(&beside, id, content, generated).map_err(failed(&beside))?;
        built.push((beside, place));
    }
    for (beside, place) in built {
        exchange(&beside, &place).map_err(failed(&place))?;
        // What is there now is what was there before, if anything.
        remove(&beside).map_err(failed(&beside))?;
    }
    let gone = vanished(directory, environments).map_err(failed(directory))?;
    for (id, path) in &gone {
        let aside = directory.join(format!(".{ENVIRONMENT_PREFIX}{id}.tmp"));
        fs::rename(path, &aside).map_err(failed(path))?;
        remove(&aside).map_err(failed(&aside))?;
    }
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed(directory))?;
    Ok(gone.into_iter().map(|(id, _)| id).collect())
}

fn build(place: &Path, id: &EnvironmentId, content: &Content, generated: &str) -> io::Result<()> {
    if id.as_str().contains(['/', '\0']) {
        return Err(io::Error::other("the environment's id cannot be the name of a directory"));
    }
    remove(place)?;
    fs::create_dir(place)?;
    for (part, text) in write_environment(content) {
        write(&place.join(part.file_name()), text.as_bytes())?;
    }
    write(&place.join("README.md"), summary(id, content, generated).as_bytes())?;
    File::open(place)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn summary(id: &EnvironmentId, content: &Content, generated: &str) -> String {
    let name = content.flags.first().and_then(|item| {
        let json = crate::model::json::Json::parse(&item.text).ok()?;
        Some(json.get("environment")?.as_str()?.to_owned())
    });
    format!(
        "# Environment {}\n\nId `{id}`, generated {generated}.\n\n\
         | what | count |\n|---|---|\n| flags | {} |\n| target groups | {} |\n| targets | {} |\n| SDK keys (hashes) | {} |\n",
        name.as_deref().unwrap_or(id.as_str()),
        content.flags.len(),
        content.segments.len(),
        content.targets.len(),
        content.key_hashes.len()
    )
}

/// Puts the new one in place of the old in one step; where the file system
/// cannot, in two.
fn exchange(new: &Path, place: &Path) -> io::Result<()> {
    if !place.exists() {
        return fs::rename(new, place);
    }
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(_) => {
            let aside = new.with_extension("old.tmp");
            remove(&aside)?;
            fs::rename(place, &aside)?;
            fs::rename(new, place).or_else(|error| fs::rename(&aside, place).and(Err(error)))?;
            remove(&aside)
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn vanished(
    directory: &Path,
    environments: &BTreeMap<EnvironmentId, Content>,
) -> io::Result<Vec<(EnvironmentId, PathBuf)>> {
    let mut gone = Vec::new();
    for child in fs::read_dir(directory)? {
        let child = child?;
        let id = child.file_name().to_str().and_then(environment_of);
        if let Some(id) = id.filter(|id| !environments.contains_key(id)) {
            gone.push((id, child.path()));
        }
    }
    gone.sort();
    Ok(gone)
}

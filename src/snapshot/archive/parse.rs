//! From files to content, as offline mode and imports take it.

use std::collections::BTreeMap;

use super::manifest::ManifestEnvironment;
use super::{RawTree, Tree};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::report::{Problem, ProblemKind, Problems};
use crate::snapshot::tree::{read_environment, read_learnt_targets};

impl RawTree {
    /// Parses every file and holds what came out against the manifest.
    /// `name` is what problems call the archive.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn parse(&self, name: &str) -> Result<Tree, Problems> {
        let mut tree = Tree { served: self.served.clone(), parts: self.parts.clone(), ..Tree::default() };
        let mut problems = Vec::new();
        for (id, files) in &self.environments {
            match read_environment(files) {
                Ok(content) => drop(tree.environments.insert(id.clone(), content)),
                Err(more) => problems.extend(more.0),
            }
        }
        if let Some(learnt) = &self.learnt {
            let mut read = BTreeMap::new();
            for (id, file) in learnt {
                match read_learnt_targets(file) {
                    Ok(targets) => drop(read.insert(id.clone(), targets)),
                    Err(more) => problems.extend(more.0),
                }
            }
            tree.learnt = Some(read);
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        for claimed in self.manifest.iter().flat_map(|manifest| &manifest.environments) {
            let id = EnvironmentId::new(&claimed.id);
            let found = tree.environments.entry(id.clone()).or_default();
            if ManifestEnvironment::of(&id, found) != *claimed {
                let what = format!("the content of environment {id} is not the one in the manifest");
                let problem = Problem::new(name, what, "make the archive anew");
                return Err(problem.of_kind(ProblemKind::Corrupt).into());
            }
        }
        Ok(tree)
    }
}

//! `rmi`: names off images, and images without names off the disk.
//!
//! A container holds the image that it was made from, as in docker. Its last name is taken off only by force, and the
//! image itself stays as long as the container: where docker, forced, drops an image that only stopped containers use
//! and keeps its layers, here it stays whole, without a name.

use super::load::event;
use super::resolve::{Resolved, resolve};
use crate::Engine;
use crate::container::is_live;
use crate::error::EngineError;
use dhow_spec::{Digest, Reference};
use dhow_state::{ContainerRow, Durability, Garbage, Write};

/// What was done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A name was taken off, in familiar form.
    Untagged(String),
    /// An image or, once nothing used it, a layer was deleted.
    Deleted(Digest),
}

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Remove an image by its id although it has several names.
    pub force: bool,
}

impl Engine {
    /// Removes one image or one of its names. Bytes that nothing needs any more go too.
    ///
    /// # Errors
    /// When there is no such image, or it has several names and force was not asked for.
    pub fn remove_image(&self, text: &str, options: RemoveOptions) -> Result<Vec<Removal>, EngineError> {
        self.in_reserve(|| self.removed(text, options))
    }

    fn removed(&self, text: &str, options: RemoveOptions) -> Result<Vec<Removal>, EngineError> {
        let operation = self.state.begin("rmi", self.now())?;
        let id = operation.id();
        operation.commit(Durability::PowerCut, |w| {
            let found = resolve(w, text)?;
            let users = w.containers_of_image(&found.image.id)?;
            self.judge_users(w, text, &found, &users, options)?;
            let mut done = self.untag(w, &found, options)?;
            if w.tags_of(&found.image.id)?.is_empty() && users.is_empty() {
                w.delete_image(&found.image.id)?;
                w.record_event(&event(self.now(), "delete", &found.image.id, None))?;
                done.push(Removal::Deleted(found.image.id.clone()));
            } else {
                w.delete_unused_manifests(&found.image.id)?;
            }
            done.extend(deleted_layers(&w.collect_garbage(id)?));
            Ok(done)
        })
    }

    /// Whether the containers of an image allow what is asked for: docker's rules and words.
    fn judge_users(
        &self,
        w: &Write<'_>,
        text: &str,
        found: &Resolved,
        users: &[ContainerRow],
        options: RemoveOptions,
    ) -> Result<(), EngineError> {
        let Some(first) = users.first() else { return Ok(()) };
        let short = found.image.id.short();
        let refuse = |message: String, hint: &str| {
            Err(EngineError::Conflict { message: format!("conflict: {message}"), hint: Some(hint.to_owned()) })
        };
        if found.tag.is_some() {
            let last = w.tags_of(&found.image.id)?.len() == 1;
            return match last && !options.force {
                true => refuse(
                    format!(
                        "unable to remove repository reference \"{text}\" (must force) - container {} is using its \
                         referenced image {short}",
                        &first.id[..12]
                    ),
                    "remove the container first, or only the name with -f",
                ),
                false => Ok(()),
            };
        }
        for user in users {
            if is_live(self, user)? {
                let id = &user.id[..12];
                return refuse(
                    format!(
                        "unable to delete {short} (cannot be forced) - image is being used by running container {id}"
                    ),
                    "stop and remove the container first",
                );
            }
        }
        match options.force {
            true => Ok(()),
            false => refuse(
                format!(
                    "unable to delete {short} (must be forced) - image is being used by stopped container {}",
                    &first.id[..12]
                ),
                "remove the container first",
            ),
        }
    }

    /// Takes off the names that the request covers.
    fn untag(&self, w: &Write<'_>, found: &Resolved, options: RemoveOptions) -> Result<Vec<Removal>, EngineError> {
        let tags = w.tags_of(&found.image.id)?;
        let names: Vec<String> = match &found.tag {
            Some(tag) => vec![tag.name.clone()],
            None if tags.len() > 1 && !options.force => {
                return Err(EngineError::SeveralNames { id: found.image.id.short().to_owned() });
            }
            None => tags.into_iter().map(|t| t.name).collect(),
        };
        let mut done = Vec::new();
        for name in names {
            w.delete_tag(&name)?;
            let reference = Reference::parse(&name)?;
            w.record_event(&event(self.now(), "untag", &found.image.id, Some(&reference)))?;
            done.push(Removal::Untagged(reference.familiar()));
        }
        Ok(done)
    }
}

/// The layers among garbage, as docker lists them.
pub(crate) fn deleted_layers(garbage: &[Garbage]) -> Vec<Removal> {
    let layers = garbage.iter().filter(|g| g.kind == dhow_state::ContentKind::Layer);
    layers.map(|g| Removal::Deleted(g.digest.clone())).collect()
}

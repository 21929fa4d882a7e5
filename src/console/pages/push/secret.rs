//! The signing secret of an endpoint that was just made, which is shown once.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::super::components::{Icon, copy_row, icon};
use super::super::super::error::PageError;
use super::example;
use crate::audited::Rendered;
use crate::push::service::EndpointView;
use crate::push::signature::SigningSecret;

/// The secret of an endpoint that was just made, or the public key of one that signs with a private key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NewSecret {
    pub(super) is_public: bool,
    pub(super) text: String,
}

impl NewSecret {
    /// That of a view right after the change.
    pub(super) fn of(view: &EndpointView) -> Option<Self> {
        let secret = view.secret.as_ref()?;
        Some(match secret.public_key() {
            Some(text) => Self { is_public: true, text },
            None => Self { is_public: false, text: SigningSecret::reveal(secret) },
        })
    }

    /// The endpoint and its secret in a rendered result.
    pub(super) fn read(rendered: &Rendered) -> Result<(Uuid, Self), PageError> {
        #[derive(Deserialize)]
        struct Body {
            id: Uuid,
            secret: NewSecret,
        }
        let body: Body = serde_json::from_str(&rendered.body).map_err(|error| PageError::internal(&error.into()))?;
        Ok((body.id, body.secret))
    }
}

/// The secret with its copy button, and how to use it.
pub(super) fn notice(new: &NewSecret) -> Markup {
    html! {
        div.notice.tone-success role="status" {
            (icon(Icon::Key))
            div {
                @if new.is_public {
                    p { strong { "This public key checks the signatures." } " The private key stays here." }
                    dl.copy-list { (copy_row("Public key", &new.text)) }
                } @else {
                    p { strong { "Copy the signing secret now: it is shown this once." } " Your server checks signatures with it." }
                    dl.copy-list { (copy_row("Signing secret", &new.text)) }
                }
            }
        }
        (example::card())
    }
}

//! Mail by SMTP, where it is configured.
//!
//! A mail that somebody waits for is sent at once; one that must not tell whether an address exists waits in a queue, so that
//! its page takes the same time in any case.

use std::time::Duration;

use anyhow::Context as _;
use lettre::message::Mailbox;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::MailConfig;

/// The time that a server has for one mail.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Mails that may wait; further ones are lost, which is logged.
const MAX_QUEUED: usize = 64;

/// Sends mail. Cloning shares the connection.
#[derive(Clone, Default)]
pub struct Mailer(Option<Sender>);

#[derive(Clone)]
struct Sender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
    queue: mpsc::Sender<Mail>,
}

/// The queue of mails that nobody waits for.
pub struct MailQueue {
    mailer: Mailer,
    mails: mpsc::Receiver<Mail>,
}

/// A mail of plain text.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Mail {
    pub to: String,
    /// The brand's name, shown as the sender.
    pub sender_name: String,
    pub subject: String,
    pub text: String,
}

impl Mail {
    /// The mail with the link of an invitation.
    #[must_use]
    pub fn invitation(to: &str, brand: &str, inviter: &str, link: &str) -> Self {
        Self {
            to: to.to_owned(),
            sender_name: brand.to_owned(),
            subject: format!("You are invited to {brand}"),
            text: format!(
                "{inviter} invites you to {brand}.\n\nChoose a password to sign in. The link works once, for a week:\n\n{link}\n"
            ),
        }
    }

    /// The mail with the link to another password.
    #[must_use]
    pub fn reset(to: &str, brand: &str, link: &str) -> Self {
        Self {
            to: to.to_owned(),
            sender_name: brand.to_owned(),
            subject: format!("Choose another password for {brand}"),
            text: format!(
                "Somebody, probably you, asked for a link to choose another password for {brand}.\n\nIt works once, for an \
                 hour:\n\n{link}\n\nIf it was not you, do nothing: your password stays as it is.\n"
            ),
        }
    }
}

impl Mailer {
    /// A sender over the configured server, and its queue; without a server no mail is sent.
    pub fn new(config: &MailConfig) -> anyhow::Result<(Self, Option<MailQueue>)> {
        if config.smtp_url.reveal().is_empty() {
            return Ok((Self(None), None));
        }
        // The error's source is left out: it may quote the URL with its password.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.smtp_url.reveal())
            .map_err(|_| anyhow::anyhow!("mail.smtp_url must be like smtp://user:password@host:587?tls=required"))?;
        let from = config.from.parse().context("mail.from must be an email address")?;
        let (queue, mails) = mpsc::channel(MAX_QUEUED);
        let mailer = Self(Some(Sender { transport: transport.timeout(Some(TIMEOUT)).build(), from, queue }));
        Ok((mailer.clone(), Some(MailQueue { mailer, mails })))
    }

    /// Whether mail is configured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a mail; false where no server is configured.
    pub async fn send(&self, mail: Mail) -> anyhow::Result<bool> {
        let Some(Sender { transport, from, .. }) = &self.0 else { return Ok(false) };
        let to: Address = mail.to.parse().context("the recipient's address cannot be used")?;
        let message = Message::builder()
            .from(Mailbox::new(Some(mail.sender_name), from.clone()))
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .body(mail.text)
            .context("cannot build the mail")?;
        transport.send(message).await.context("the mail server refused the mail or did not respond")?;
        Ok(true)
    }

    /// Sends a mail later.
    pub(super) fn queue(&self, mail: Mail) {
        let Some(Sender { queue, .. }) = &self.0 else { return };
        if queue.try_send(mail).is_err() {
            tracing::warn!("queue mail failed: too many mails wait");
        }
    }
}

impl MailQueue {
    /// Sends mails until the service stops.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let mail = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                mail = self.mails.recv() => mail,
            };
            let Some(mail) = mail else { return };
            if let Err(error) = self.mailer.send(mail).await {
                tracing::warn!(error = format!("{error:#}"), "send mail failed");
            }
        }
    }
}

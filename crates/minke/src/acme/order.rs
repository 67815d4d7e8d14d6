//! One order, from the account to the certificate that is served.

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};

use super::client::Client;
use super::store::StoredAccount;
use super::{AcmeError, Orders};
use crate::error::chain;
use crate::tls::Validity;

impl Orders {
    pub(super) async fn order(&self, name: &str) -> Result<Validity, AcmeError> {
        let mut outcome = self.certificate(name).await;
        if matches!(&outcome, Err(Wrong::Server(error)) if is_unknown_account(error)) {
            tracing::warn!("the ACME server does not know the account any more; a new one is made");
            self.store.forget_account();
            *self.account.lock().await = None;
            outcome = self.certificate(name).await;
        }
        let pem = outcome.map_err(|wrong| match wrong {
            Wrong::Server(error) => refused(error),
            Wrong::Other(error) => error,
        })?;
        let certified = self.store.keep_certificate(name, &pem)?;
        let validity = certified.cert.first().and_then(Validity::of);
        self.certificates.set_ordered(name, certified);
        validity.ok_or_else(|| AcmeError::Refused("its certificate does not say how long it holds".into()))
    }

    /// The key, then the chain.
    async fn certificate(&self, name: &str) -> Result<String, Wrong> {
        let account = self.account().await?;
        let names = [Identifier::Dns(name.to_owned())];
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let mut answering = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenge = authorization.challenge(ChallengeType::Http01).ok_or(AcmeError::NoHttp01)?;
            let answer = challenge.key_authorization();
            answering.push(self.challenges.answer(&challenge.token, answer.as_str()));
            challenge.set_ready().await?;
        }
        let retries = RetryPolicy::default().timeout(super::ORDER_TIMEOUT);
        let status = order.poll_ready(&retries).await;
        drop(answering);
        match status {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(Error::Api(_)) => {
                let known = status.err().map(|error| error.to_string());
                return Err(
                    AcmeError::Unproved(reason(&mut order).await.or(known).unwrap_or_default()).into()
                );
            }
            Err(error) => return Err(error.into()),
        }
        let key = order.finalize().await?;
        Ok(key + &order.poll_certificate(&retries).await?)
    }

    /// The one that is kept, or a new one; who asks meanwhile waits for it.
    async fn account(&self) -> Result<Account, Wrong> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let builder = Account::builder_with_http(Box::new(Client::new(self.settings.ca.as_deref())?));
        let email = self.settings.email.clone();
        let contact = email.as_ref().map(|email| format!("mailto:{email}"));
        let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
        let account = match self.store.account() {
            Some(StoredAccount { email: told, credentials }) => {
                let account = builder.from_credentials(credentials).await?;
                if told != email {
                    account.update_contacts(&contacts).await?;
                    if let Some(kept) = self.store.account() {
                        self.store.keep_account(&StoredAccount { email, ..kept })?;
                    }
                }
                account
            }
            None => {
                let new = NewAccount {
                    contact: &contacts,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                };
                let (account, credentials) =
                    builder.create(&new, self.settings.directory.clone(), None).await?;
                self.store.keep_account(&StoredAccount { email, credentials })?;
                tracing::info!(
                    directory = self.settings.directory,
                    "there is an account with the ACME server now"
                );
                account
            }
        };
        *known = Some(account.clone());
        Ok(account)
    }
}

/// What the server saw when it looked.
async fn reason(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(problem.to_string());
        }
    }
    None
}

enum Wrong {
    Server(Error),
    Other(AcmeError),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<AcmeError> for Wrong {
    fn from(error: AcmeError) -> Self {
        Self::Other(error)
    }
}

/// A server may lose what it knew, or put an end to an account.
fn is_unknown_account(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref().is_some_and(|kind| {
        kind.ends_with(":accountDoesNotExist")
    }))
}

fn refused(error: Error) -> AcmeError {
    AcmeError::Refused(chain(&error))
}

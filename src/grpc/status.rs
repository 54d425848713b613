//! What a refusal is on the wire: the one place where an error becomes a status.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};

use super::layer::DOMAIN;
use crate::domain::voucher::LOCK;
use crate::domain::{Error, Reason};

/// Violations that one reply names. A client's buffer for headers is small: a
/// hundred arrive, two hundred break the connection.
const VIOLATIONS_MAX: usize = 20;

/// Turns a refusal into a status with `google.rpc` details.
#[must_use]
pub fn status(error: Error) -> Status {
    let code = code(error.reason);
    if code == Code::Internal || error.reason == Reason::DatabaseUnavailable {
        // Logged once, here, with all that lies below; the caller gets the request id.
        tracing::error!(reason = error.reason.name(), source = ?error.source, "{}", error.message);
    }
    let all = std::iter::once(&error).chain(&error.others);
    let preconditions: Vec<PreconditionViolation> =
        all.take(VIOLATIONS_MAX).map(precondition).collect();
    let count = error.violations.len();
    let mut metadata: std::collections::HashMap<String, String> = error
        .facts
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    if count > 0 {
        metadata
            .entry("violation_count".to_owned())
            .or_insert_with(|| count.to_string());
    }
    let mut details = ErrorDetails::with_error_info(error.reason.name(), DOMAIN, metadata);
    if count > 0 {
        let shown = error.violations.into_iter().take(VIOLATIONS_MAX);
        let violations: Vec<FieldViolation> = shown
            .map(|v| FieldViolation {
                field: v.path,
                description: v.message,
                reason: v.reason.name().to_owned(),
                localized_message: None,
            })
            .collect();
        details.set_bad_request(violations);
    }
    if code == Code::FailedPrecondition {
        details.set_precondition_failure(preconditions);
    }
    if let Some(wait) = retry_after(error.reason) {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(code, error.message, details)
}

/// One of the things that must change first: its reason, its rule in numbers, and its sentence.
fn precondition(error: &Error) -> PreconditionViolation {
    let facts = error
        .facts
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let subject = facts.collect::<Vec<_>>().join(" ");
    PreconditionViolation::new(error.reason.name(), subject, error.message.as_str())
}

fn retry_after(reason: Reason) -> Option<Duration> {
    if reason == Reason::CodeLocked {
        return Some(LOCK);
    }
    let soon = reason == Reason::ConcurrentUpdate;
    let away = matches!(
        reason,
        Reason::DatabaseUnavailable
            | Reason::ShuttingDown
            | Reason::ServerOverloaded
            | Reason::ProviderUnreachable
    );
    let wait_ms = if soon { 200 } else { 1_000 };
    (soon || away).then(|| Duration::from_millis(wait_ms))
}

/// The code of each reason. UNAVAILABLE: repeat the call. ABORTED: repeat what led
/// to it. FAILED_PRECONDITION: something else has to change first.
#[must_use]
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidFields
        | Reason::FieldRequired
        | Reason::OutOfRange
        | Reason::AmountOutOfRange
        | Reason::AmountOverflow
        | Reason::TextTooLong
        | Reason::TextInvalid
        | Reason::IdInvalid
        | Reason::RequestIdInvalid
        | Reason::OpenidInvalid
        | Reason::AppidInvalid
        | Reason::MobileInvalid
        | Reason::EnumUnknown
        | Reason::BatchTooLarge
        | Reason::DuplicateItem
        | Reason::TimeRangeInvalid
        | Reason::PageTokenInvalid
        | Reason::CursorInvalid
        | Reason::ReceiverUrlInvalid
        | Reason::EventTypeInvalid
        | Reason::FieldNotAllowed
        | Reason::UpdateMaskInvalid
        | Reason::SceneIdRequired
        | Reason::KeywordTooBroad
        | Reason::OrderIdInvalid
        | Reason::CodeInvalid
        | Reason::MalformedMessage => Code::InvalidArgument,
        Reason::CredentialMissing
        | Reason::CredentialInvalid
        | Reason::SignatureInvalid
        | Reason::TimestampSkew
        | Reason::NonceReplayed
        | Reason::SignatureAmbiguous => Code::Unauthenticated,
        Reason::PermissionMissing | Reason::OperatorRequired | Reason::ProductNotAllowed => {
            Code::PermissionDenied
        }
        Reason::ShopNotFound
        | Reason::CampaignNotFound
        | Reason::IssuanceNotFound
        | Reason::BatchNotFound
        | Reason::RecipientNotFound
        | Reason::AccountNotFound
        | Reason::AppNotFound
        | Reason::GroupNotFound
        | Reason::BranchNotFound
        | Reason::KeyNotFound
        | Reason::ProductNotFound
        | Reason::VoucherNotFound
        | Reason::OrderNotFound
        | Reason::EndpointNotFound
        | Reason::DeliveryNotFound
        | Reason::ApprovalNotFound => Code::NotFound,
        Reason::RequestIdReused | Reason::AlreadyExists | Reason::BelongsToAnother => {
            Code::AlreadyExists
        }
        Reason::OpenidMissing
        | Reason::CampaignNotActive
        | Reason::CampaignPaused
        | Reason::CampaignEnded
        | Reason::CampaignNotStarted
        | Reason::BudgetExhausted
        | Reason::StockExhausted
        | Reason::BudgetInUse
        | Reason::CampaignState
        | Reason::OutcomeUnknown
        | Reason::AlreadySent
        | Reason::IssuanceFrozen
        | Reason::AccountDisabled
        | Reason::CredentialNotConfigured
        | Reason::DirectCampaignMissing
        | Reason::ProviderCapability
        | Reason::GatewayNotMapped
        | Reason::GroupEmpty
        | Reason::RecipientLimit
        | Reason::IssuanceCancelled
        | Reason::IssuanceNotSent
        | Reason::DailyBudgetExhausted
        | Reason::BranchLimit
        | Reason::Stopped
        | Reason::SecondApproverRequired
        | Reason::ApprovalRequired
        | Reason::ApprovalRejected
        | Reason::ApprovalDecided
        | Reason::ProductNotActive
        | Reason::ProductPaused
        | Reason::ProductEnded
        | Reason::ProductWindowEnded
        | Reason::ProductState
        | Reason::VoucherNotUsable
        | Reason::OrderLimit
        | Reason::OrderState
        | Reason::UndoTooLate
        | Reason::StepUpRequired
        | Reason::StepUpWrong
        | Reason::StepUpLocked
        | Reason::NotInReview => Code::FailedPrecondition,
        Reason::RateLimited | Reason::ServerOverloaded | Reason::CodeLocked => {
            Code::ResourceExhausted
        }
        Reason::EtagMismatch | Reason::ConcurrentUpdate => Code::Aborted,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::DatabaseUnavailable | Reason::ShuttingDown | Reason::ProviderUnreachable => {
            Code::Unavailable
        }
        Reason::Internal => Code::Internal,
    }
}

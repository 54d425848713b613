//! The closed list of ways in which a call can be refused.
//!
//! The list is the contract's `ErrorReason`; a test keeps both equal. Inside, an
//! error is a reason, a sentence that says what to do, and facts; only the
//! transport turns it into a status of its own.

/// A result of anything that may be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// INVALID_ARGUMENT: one or more fields are wrong; see BadRequest (violation_count).
    InvalidFields,
    /// Field: a required field is absent or empty.
    FieldRequired,
    /// Field: a number lies outside its bounds.
    OutOfRange,
    /// Field: an amount is not positive, min exceeds max, or it lies outside the limits of the account.
    AmountOutOfRange,
    /// Field: amount times count does not fit, or a budget would exceed 2^62 fen.
    AmountOverflow,
    /// Field: a text is longer than the provider takes, counted in UTF-8 bytes.
    TextTooLong,
    /// Field: a text holds control, bidirectional or otherwise invisible characters.
    TextInvalid,
    /// Field: an id is not a positive integer, or a name is outside its alphabet.
    IdInvalid,
    /// Field: a request_id is empty, longer than 64, or outside `[A-Za-z0-9_.:-]`.
    RequestIdInvalid,
    /// Field: an openid is longer than 32 or outside `[A-Za-z0-9_-]`.
    OpenidInvalid,
    /// Field: an appid is longer than 32 or outside `[A-Za-z0-9_-]`.
    AppidInvalid,
    /// Field: a mobile number is not an 11-digit Chinese one; +86 is taken off, nothing else.
    MobileInvalid,
    /// Field: an enum holds a number that this server does not know, or UNSPECIFIED where a choice is due.
    EnumUnknown,
    /// Field: more items than one call takes.
    BatchTooLarge,
    /// Field: the same key stands twice in one call where each may stand once.
    DuplicateItem,
    /// Field: a time is missing, malformed, or the end is not after the start.
    TimeRangeInvalid,
    /// Field: a page token that this server did not give for these arguments.
    PageTokenInvalid,
    /// Field: a cursor is none of this shop's; begin with one of an earlier answer, or without.
    CursorInvalid,
    /// Field: a receiver's URL is not one that may be posted to.
    ReceiverUrlInvalid,
    /// Field: an event type is none, e.g. "issuance.sent" or "issuance.*".
    EventTypeInvalid,
    /// Field: not to be set here, e.g. an amount for a campaign that fixes it.
    FieldNotAllowed,
    /// Field: an update mask names a path that does not exist or cannot change.
    UpdateMaskInvalid,
    /// Field: amounts outside 1 to 200 yuan need the scene that WeChat Pay allows them for.
    SceneIdRequired,
    /// INVALID_ARGUMENT: the message does not decode, e.g. a text that is not UTF-8.
    MalformedMessage,
    /// Field: a keyword fits more than 10,000 people, campaigns or groups; say more of it.
    KeywordTooBroad,
    /// Field: an app_order_id is empty, longer than 128 bytes, or holds blanks at its ends or control characters.
    OrderIdInvalid,
    /// Field: a voucher's code has the wrong length, alphabet or check character.
    CodeInvalid,
    /// UNAUTHENTICATED: no credential in the metadata; send "authorization: Bearer KEY".
    CredentialMissing,
    /// UNAUTHENTICATED: the key is wrong, revoked, expired, or its app is disabled.
    CredentialInvalid,
    /// UNAUTHENTICATED: the signature that this app must give is missing or wrong; all causes read alike.
    SignatureInvalid,
    /// UNAUTHENTICATED: the signed time is more than 300 s from the server's (server_time).
    TimestampSkew,
    /// UNAUTHENTICATED: this app used the nonce for another call; make a new one for each.
    NonceReplayed,
    /// UNAUTHENTICATED: other fields would have the same digest; change the remark, or sign as docs/signatures.md recommends.
    SignatureAmbiguous,
    /// PERMISSION_DENIED: no grant of this app holds the permission (permission).
    PermissionMissing,
    /// PERMISSION_DENIED: only a person may do this; call with an operator's key (app_id).
    OperatorRequired,
    /// PERMISSION_DENIED: this app sees the product and may not do this with it; see SetVoucherProductGrants (product_id, may).
    ProductNotAllowed,
    /// NOT_FOUND: no such shop, or none that you may see (shop_id).
    ShopNotFound,
    /// NOT_FOUND: no such campaign in this shop (campaign_id).
    CampaignNotFound,
    /// NOT_FOUND: no such issuance in this shop (issuance_id or mch_billno).
    IssuanceNotFound,
    /// NOT_FOUND: no such batch in this shop (batch_id).
    BatchNotFound,
    /// NOT_FOUND: no such recipient in this shop (recipient_id or uid).
    RecipientNotFound,
    /// NOT_FOUND: no such provider account, or none granted to this shop (account_id).
    AccountNotFound,
    /// NOT_FOUND: no such app (app_id).
    AppNotFound,
    /// NOT_FOUND: no such API key (key_id).
    KeyNotFound,
    /// NOT_FOUND: no such approval, or of no shop that you may see (approval_id).
    ApprovalNotFound,
    /// NOT_FOUND: no such voucher product in this shop, or none that this app may see (product_id or product_code).
    ProductNotFound,
    /// NOT_FOUND: no such voucher in this shop, or of no product that this app may see (voucher_id).
    VoucherNotFound,
    /// NOT_FOUND: no such voucher order of this app (order_id or app_order_id).
    OrderNotFound,
    /// NOT_FOUND: no such webhook endpoint of yours in this shop (endpoint_id).
    EndpointNotFound,
    /// NOT_FOUND: nothing of this event was, or is to be, delivered to this endpoint (event_id).
    DeliveryNotFound,
    /// Item: the recipient has no openid for the appid that sends.
    OpenidMissing,
    /// NOT_FOUND: no such group in this shop (wx_group_id).
    GroupNotFound,
    /// ALREADY_EXISTS: this app used the request_id before, for another method, shop or body (request_id, method).
    RequestIdReused,
    /// ALREADY_EXISTS: the id, code or number is taken (field).
    AlreadyExists,
    /// ALREADY_EXISTS: the mobile or openid belongs to another recipient of the shop (field).
    BelongsToAnother,
    /// NOT_FOUND: no such branch of this shop (shop_sub_id).
    BranchNotFound,
    /// FAILED_PRECONDITION: the campaign is a draft; activate it (campaign_id, state).
    CampaignNotActive,
    /// FAILED_PRECONDITION: the campaign is paused; activate it to go on (campaign_id).
    CampaignPaused,
    /// FAILED_PRECONDITION: the campaign has ended, by hand or by its window (campaign_id).
    CampaignEnded,
    /// FAILED_PRECONDITION: the window of the campaign has not opened (campaign_id, start_time).
    CampaignNotStarted,
    /// FAILED_PRECONDITION: the budget holds too little; fund the campaign (available_fen, required_fen).
    BudgetExhausted,
    /// FAILED_PRECONDITION: the count stock holds too little; raise it (available_count, required_count).
    StockExhausted,
    /// FAILED_PRECONDITION: more than what is free was asked back (available_fen, required_fen).
    BudgetInUse,
    /// FAILED_PRECONDITION: the campaign cannot go from this state to that one (campaign_id, state).
    CampaignState,
    /// FAILED_PRECONDITION: the packet's fate is not known yet; a second one could pay twice (issuance_id, state).
    OutcomeUnknown,
    /// FAILED_PRECONDITION: the packet was sent; there is nothing to send again (issuance_id, state).
    AlreadySent,
    /// FAILED_PRECONDITION: the provider contradicted itself; a person must decide first (issuance_id).
    IssuanceFrozen,
    /// FAILED_PRECONDITION: the provider account is disabled (account_id).
    AccountDisabled,
    /// FAILED_PRECONDITION: the configuration has no credential of that name for this shop and merchant (credential).
    CredentialNotConfigured,
    /// FAILED_PRECONDITION: the shop has no DIRECT campaign; create one or name a campaign (shop_id).
    DirectCampaignMissing,
    /// FAILED_PRECONDITION: the provider account has not the capability that the packet needs (account_id, capability).
    ProviderCapability,
    /// FAILED_PRECONDITION: the shop maps no account to the gateway_type; see SetShopGateways (gateway_type).
    GatewayNotMapped,
    /// FAILED_PRECONDITION: the groups have no members at all.
    GroupEmpty,
    /// FAILED_PRECONDITION: the person has as much of the campaign as one may get (campaign_id, and scan_limit or cap_count, cap_fen, used_count, used_fen).
    RecipientLimit,
    /// FAILED_PRECONDITION: the packet was withdrawn; send a new one (issuance_id, state).
    IssuanceCancelled,
    /// FAILED_PRECONDITION: nothing was sent of the packet yet; there is nothing to ask the provider about (issuance_id, state).
    IssuanceNotSent,
    /// FAILED_PRECONDITION: the campaign has issued as much today as it may on one day (campaign_id, cap_count or cap_fen, used_count, used_fen).
    DailyBudgetExhausted,
    /// FAILED_PRECONDITION: the branch has issued as much of the campaign as it may (shop_sub_id, cap_count or cap_fen, used_count, used_fen).
    BranchLimit,
    /// FAILED_PRECONDITION: somebody has stopped everything, the account or the shop; see ListStops (scope, subject).
    Stopped,
    /// FAILED_PRECONDITION: another principal than the one who acted first has to do this (scope, subject).
    SecondApproverRequired,
    /// FAILED_PRECONDITION: this takes two people; once DecideApproval has approved it, the same call with the same request_id goes through (rule, packet_count, amount_fen, and approval_id unless it was only tried).
    ApprovalRequired,
    /// FAILED_PRECONDITION: a second person said no to this call; what is asked anew needs a new request_id (approval_id, decider).
    ApprovalRejected,
    /// FAILED_PRECONDITION: the approval was decided already, otherwise (approval_id, state).
    ApprovalDecided,
    /// FAILED_PRECONDITION: nothing about this packet is for a person to decide (issuance_id, state).
    NotInReview,
    /// FAILED_PRECONDITION: the product is a draft; fund and activate it (product_id, state).
    ProductNotActive,
    /// FAILED_PRECONDITION: the product is paused; activate it to go on (product_id).
    ProductPaused,
    /// FAILED_PRECONDITION: the product has ended; nothing more of it is given (product_id).
    ProductEnded,
    ProductWindowEnded,
    /// FAILED_PRECONDITION: the product cannot go from this state to that one (product_id, state).
    ProductState,
    /// FAILED_PRECONDITION: a voucher is not there, or not in a state for this; each is named, and nothing was done (voucher_id, state, cause).
    VoucherNotUsable,
    /// FAILED_PRECONDITION: one order takes fewer vouchers of this product (product_id, max_per_order, count).
    OrderLimit,
    /// FAILED_PRECONDITION: the order is not in a state for this, e.g. it was undone (order_id, state).
    OrderState,
    /// FAILED_PRECONDITION: the time in which the order could be undone has passed (order_id, undo_until).
    UndoTooLate,
    /// FAILED_PRECONDITION: the product asks for a code of its owner at the spend (product_id, step_up).
    StepUpRequired,
    /// FAILED_PRECONDITION: the owner's code is wrong or has expired (step_up, attempts_left).
    StepUpWrong,
    /// FAILED_PRECONDITION: too many wrong codes for this owner; wait (step_up, locked_until).
    StepUpLocked,
    /// RESOURCE_EXHAUSTED: this app calls too often; wait as RetryInfo says (app_id).
    RateLimited,
    /// RESOURCE_EXHAUSTED: the server does as much as it can; wait as RetryInfo says.
    ServerOverloaded,
    /// RESOURCE_EXHAUSTED: this app guessed too many voucher codes; wait as RetryInfo says (locked_until).
    CodeLocked,
    /// ABORTED: the resource changed since the etag was read; read it again (etag).
    EtagMismatch,
    /// ABORTED: another writer was first; the same call may be made again at once.
    ConcurrentUpdate,
    /// DEADLINE_EXCEEDED: the work goes on; the same request_id returns its result.
    DeadlineExceeded,
    /// UNAVAILABLE: the database does not answer; repeat with the same request_id.
    DatabaseUnavailable,
    /// UNAVAILABLE: the server is shutting down; repeat with the same request_id.
    ShuttingDown,
    /// UNAVAILABLE: the provider did not answer; ask again later (cause).
    ProviderUnreachable,
    /// INTERNAL: a bug; the request id finds it in the log.
    Internal,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 106] = [
        Self::InvalidFields,
        Self::FieldRequired,
        Self::OutOfRange,
        Self::AmountOutOfRange,
        Self::AmountOverflow,
        Self::TextTooLong,
        Self::TextInvalid,
        Self::IdInvalid,
        Self::RequestIdInvalid,
        Self::OpenidInvalid,
        Self::AppidInvalid,
        Self::MobileInvalid,
        Self::EnumUnknown,
        Self::BatchTooLarge,
        Self::DuplicateItem,
        Self::TimeRangeInvalid,
        Self::PageTokenInvalid,
        Self::CursorInvalid,
        Self::ReceiverUrlInvalid,
        Self::EventTypeInvalid,
        Self::FieldNotAllowed,
        Self::UpdateMaskInvalid,
        Self::SceneIdRequired,
        Self::MalformedMessage,
        Self::KeywordTooBroad,
        Self::OrderIdInvalid,
        Self::CodeInvalid,
        Self::CredentialMissing,
        Self::CredentialInvalid,
        Self::SignatureInvalid,
        Self::TimestampSkew,
        Self::NonceReplayed,
        Self::SignatureAmbiguous,
        Self::PermissionMissing,
        Self::OperatorRequired,
        Self::ProductNotAllowed,
        Self::ShopNotFound,
        Self::CampaignNotFound,
        Self::IssuanceNotFound,
        Self::BatchNotFound,
        Self::RecipientNotFound,
        Self::AccountNotFound,
        Self::AppNotFound,
        Self::KeyNotFound,
        Self::ApprovalNotFound,
        Self::ProductNotFound,
        Self::VoucherNotFound,
        Self::OrderNotFound,
        Self::EndpointNotFound,
        Self::DeliveryNotFound,
        Self::OpenidMissing,
        Self::GroupNotFound,
        Self::RequestIdReused,
        Self::AlreadyExists,
        Self::BelongsToAnother,
        Self::BranchNotFound,
        Self::CampaignNotActive,
        Self::CampaignPaused,
        Self::CampaignEnded,
        Self::CampaignNotStarted,
        Self::BudgetExhausted,
        Self::StockExhausted,
        Self::BudgetInUse,
        Self::CampaignState,
        Self::OutcomeUnknown,
        Self::AlreadySent,
        Self::IssuanceFrozen,
        Self::AccountDisabled,
        Self::CredentialNotConfigured,
        Self::DirectCampaignMissing,
        Self::ProviderCapability,
        Self::GatewayNotMapped,
        Self::GroupEmpty,
        Self::RecipientLimit,
        Self::IssuanceCancelled,
        Self::IssuanceNotSent,
        Self::DailyBudgetExhausted,
        Self::BranchLimit,
        Self::Stopped,
        Self::SecondApproverRequired,
        Self::ApprovalRequired,
        Self::ApprovalRejected,
        Self::ApprovalDecided,
        Self::NotInReview,
        Self::ProductNotActive,
        Self::ProductPaused,
        Self::ProductEnded,
        Self::ProductWindowEnded,
        Self::ProductState,
        Self::VoucherNotUsable,
        Self::OrderLimit,
        Self::OrderState,
        Self::UndoTooLate,
        Self::StepUpRequired,
        Self::StepUpWrong,
        Self::StepUpLocked,
        Self::RateLimited,
        Self::ServerOverloaded,
        Self::CodeLocked,
        Self::EtagMismatch,
        Self::ConcurrentUpdate,
        Self::DeadlineExceeded,
        Self::DatabaseUnavailable,
        Self::ShuttingDown,
        Self::ProviderUnreachable,
        Self::Internal,
    ];

    /// Its stable name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidFields => "INVALID_FIELDS",
            Self::FieldRequired => "FIELD_REQUIRED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::AmountOutOfRange => "AMOUNT_OUT_OF_RANGE",
            Self::AmountOverflow => "AMOUNT_OVERFLOW",
            Self::TextTooLong => "TEXT_TOO_LONG",
            Self::TextInvalid => "TEXT_INVALID",
            Self::IdInvalid => "ID_INVALID",
            Self::RequestIdInvalid => "REQUEST_ID_INVALID",
            Self::OpenidInvalid => "OPENID_INVALID",
            Self::AppidInvalid => "APPID_INVALID",
            Self::MobileInvalid => "MOBILE_INVALID",
            Self::EnumUnknown => "ENUM_UNKNOWN",
            Self::BatchTooLarge => "BATCH_TOO_LARGE",
            Self::DuplicateItem => "DUPLICATE_ITEM",
            Self::TimeRangeInvalid => "TIME_RANGE_INVALID",
            Self::PageTokenInvalid => "PAGE_TOKEN_INVALID",
            Self::CursorInvalid => "CURSOR_INVALID",
            Self::ReceiverUrlInvalid => "RECEIVER_URL_INVALID",
            Self::EventTypeInvalid => "EVENT_TYPE_INVALID",
            Self::FieldNotAllowed => "FIELD_NOT_ALLOWED",
            Self::UpdateMaskInvalid => "UPDATE_MASK_INVALID",
            Self::SceneIdRequired => "SCENE_ID_REQUIRED",
            Self::MalformedMessage => "MALFORMED_MESSAGE",
            Self::KeywordTooBroad => "KEYWORD_TOO_BROAD",
            Self::OrderIdInvalid => "ORDER_ID_INVALID",
            Self::CodeInvalid => "CODE_INVALID",
            Self::CredentialMissing => "CREDENTIAL_MISSING",
            Self::CredentialInvalid => "CREDENTIAL_INVALID",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::TimestampSkew => "TIMESTAMP_SKEW",
            Self::NonceReplayed => "NONCE_REPLAYED",
            Self::SignatureAmbiguous => "SIGNATURE_AMBIGUOUS",
            Self::PermissionMissing => "PERMISSION_MISSING",
            Self::ShopNotFound => "SHOP_NOT_FOUND",
            Self::CampaignNotFound => "CAMPAIGN_NOT_FOUND",
            Self::IssuanceNotFound => "ISSUANCE_NOT_FOUND",
            Self::BatchNotFound => "BATCH_NOT_FOUND",
            Self::RecipientNotFound => "RECIPIENT_NOT_FOUND",
            Self::AccountNotFound => "ACCOUNT_NOT_FOUND",
            Self::AppNotFound => "APP_NOT_FOUND",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::OpenidMissing => "OPENID_MISSING",
            Self::GroupNotFound => "GROUP_NOT_FOUND",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::BelongsToAnother => "BELONGS_TO_ANOTHER",
            Self::BranchNotFound => "BRANCH_NOT_FOUND",
            Self::CampaignNotActive => "CAMPAIGN_NOT_ACTIVE",
            Self::CampaignPaused => "CAMPAIGN_PAUSED",
            Self::CampaignEnded => "CAMPAIGN_ENDED",
            Self::CampaignNotStarted => "CAMPAIGN_NOT_STARTED",
            Self::BudgetExhausted => "BUDGET_EXHAUSTED",
            Self::StockExhausted => "STOCK_EXHAUSTED",
            Self::BudgetInUse => "BUDGET_IN_USE",
            Self::CampaignState => "CAMPAIGN_STATE",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::AlreadySent => "ALREADY_SENT",
            Self::IssuanceFrozen => "ISSUANCE_FROZEN",
            Self::AccountDisabled => "ACCOUNT_DISABLED",
            Self::CredentialNotConfigured => "CREDENTIAL_NOT_CONFIGURED",
            Self::DirectCampaignMissing => "DIRECT_CAMPAIGN_MISSING",
            Self::ProviderCapability => "PROVIDER_CAPABILITY",
            Self::GatewayNotMapped => "GATEWAY_NOT_MAPPED",
            Self::GroupEmpty => "GROUP_EMPTY",
            Self::RecipientLimit => "RECIPIENT_LIMIT",
            Self::IssuanceCancelled => "ISSUANCE_CANCELLED",
            Self::IssuanceNotSent => "ISSUANCE_NOT_SENT",
            Self::DailyBudgetExhausted => "DAILY_BUDGET_EXHAUSTED",
            Self::BranchLimit => "BRANCH_LIMIT",
            Self::Stopped => "STOPPED",
            Self::SecondApproverRequired => "SECOND_APPROVER_REQUIRED",
            Self::ApprovalRequired => "APPROVAL_REQUIRED",
            Self::ApprovalRejected => "APPROVAL_REJECTED",
            Self::ApprovalDecided => "APPROVAL_DECIDED",
            Self::NotInReview => "NOT_IN_REVIEW",
            Self::ProductNotActive => "PRODUCT_NOT_ACTIVE",
            Self::ProductPaused => "PRODUCT_PAUSED",
            Self::ProductEnded => "PRODUCT_ENDED",
            Self::ProductWindowEnded => "PRODUCT_WINDOW_ENDED",
            Self::ProductState => "PRODUCT_STATE",
            Self::VoucherNotUsable => "VOUCHER_NOT_USABLE",
            Self::OrderLimit => "ORDER_LIMIT",
            Self::OrderState => "ORDER_STATE",
            Self::UndoTooLate => "UNDO_TOO_LATE",
            Self::StepUpRequired => "STEP_UP_REQUIRED",
            Self::StepUpWrong => "STEP_UP_WRONG",
            Self::StepUpLocked => "STEP_UP_LOCKED",
            Self::OperatorRequired => "OPERATOR_REQUIRED",
            Self::ProductNotAllowed => "PRODUCT_NOT_ALLOWED",
            Self::ApprovalNotFound => "APPROVAL_NOT_FOUND",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::VoucherNotFound => "VOUCHER_NOT_FOUND",
            Self::OrderNotFound => "ORDER_NOT_FOUND",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::DeliveryNotFound => "DELIVERY_NOT_FOUND",
            Self::RateLimited => "RATE_LIMITED",
            Self::ServerOverloaded => "SERVER_OVERLOADED",
            Self::CodeLocked => "CODE_LOCKED",
            Self::EtagMismatch => "ETAG_MISMATCH",
            Self::ConcurrentUpdate => "CONCURRENT_UPDATE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::DatabaseUnavailable => "DATABASE_UNAVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::ProviderUnreachable => "PROVIDER_UNREACHABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path, e.g. `recipients[2].openids[0].openid`.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

/// A refusal.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", .reason.name())]
pub struct Error {
    /// Why.
    pub reason: Reason,
    /// What happened and what to do, for people. Never a secret, a phone number or an openid.
    pub message: String,
    /// What the message says, for machines.
    pub facts: Vec<(&'static str, String)>,
    /// What is wrong with which fields.
    pub violations: Vec<Violation>,
    /// What else refuses the same call: all of it is to be mended.
    pub others: Vec<Error>,
    /// What lies below, for the log alone.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A refusal with its sentence.
    #[must_use]
    pub fn new(reason: Reason, message: String) -> Self {
        Self {
            reason,
            message,
            facts: Vec::new(),
            violations: Vec::new(),
            others: Vec::new(),
            source: None,
        }
    }

    /// One refusal of several: the first, with the others beside it. Nothing if there are none.
    #[must_use]
    pub fn all(mut errors: Vec<Self>) -> Option<Self> {
        if errors.is_empty() {
            return None;
        }
        let others = errors.split_off(1);
        let mut first = errors.pop()?;
        first.others = others;
        Some(first)
    }

    /// A refusal for the sake of one field.
    #[must_use]
    pub fn field(path: impl Into<String>, reason: Reason, message: String) -> Self {
        Self::fields(vec![Violation {
            path: path.into(),
            reason,
            message,
        }])
    }

    /// A refusal for the sake of several fields.
    #[must_use]
    pub fn fields(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [one] => format!("{}: {}", one.path, one.message),
            many => format!("{} fields are wrong; see the field violations", many.len()),
        };
        Self {
            violations,
            ..Self::new(Reason::InvalidFields, message)
        }
    }

    /// The same refusal for another call; what lies below it stays with the first.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            reason: self.reason,
            message: self.message.clone(),
            facts: self.facts.clone(),
            violations: self.violations.clone(),
            others: self.others.iter().map(Self::again).collect(),
            source: None,
        }
    }

    /// The same with one more fact.
    #[must_use]
    pub fn fact(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        self.facts.push((key, value.to_string()));
        self
    }

    /// A bug of ours, with what lies below it.
    #[must_use]
    pub fn internal(
        what: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Reason::Internal, what.to_owned())
        }
    }
}

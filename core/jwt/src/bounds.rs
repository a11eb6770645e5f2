//! Every bound of this room, by name.

/// The longest token anybody looks at.
pub const MAX_TOKEN_BYTES: usize = 1 << 20;
/// The longest name, description or URL of a claim.
pub const MAX_TEXT_BYTES: usize = 8 << 10;
/// The longest subject, with its queue, of a permission, an export or an import.
pub const MAX_SUBJECT_BYTES: usize = 4 << 10;
/// Entries of one list of permissions.
pub const MAX_PERMISSIONS: usize = 32_768;
/// Exports of one account. A token of the largest size cannot hold more.
pub const MAX_EXPORTS: usize = 32_768;
/// Imports of one account. A token of the largest size cannot hold more.
pub const MAX_IMPORTS: usize = 16_384;
/// Revocations in one list. A token of the largest size cannot hold more.
pub const MAX_REVOCATIONS: usize = 32_768;
/// Signing keys of one operator or account.
pub const MAX_SIGNING_KEYS: usize = 4_096;
/// Subject mappings of one account, and destinations of one mapping.
pub const MAX_MAPPINGS: usize = 8_192;
/// Tags of one claim.
pub const MAX_TAGS: usize = 4_096;
/// JetStream tiers of one account.
pub const MAX_TIERS: usize = 64;
/// Networks a user may come from.
pub const MAX_SOURCES: usize = 4_096;
/// Time windows of one user.
pub const MAX_WINDOWS: usize = 256;
/// Any other list of short texts (service URLs, connection types, users of a callout, certificates).
pub const MAX_TEXTS: usize = 4_096;
/// Subjects that the templates of one list of a signing key's scope may grow into for one user.
pub const MAX_TEMPLATE_SUBJECTS: usize = 4_096;

//! The subjects of the API, one row each.

/// What every API subject begins with.
pub const PREFIX: &str = "$JS.API.";

/// What a call does to what. Each row names one, so that a rule about, say, removing messages holds for every subject
/// that removes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reads limits and usage of the account.
    ReadAccount,
    /// Reads names, configuration or state of streams.
    ReadStream,
    /// Makes, changes or removes a stream.
    WriteStream,
    /// Reads stored messages.
    ReadMessages,
    /// Removes stored messages.
    RemoveMessages,
    /// Reads names, configuration or state of consumers.
    ReadConsumer,
    /// Makes, changes or removes a consumer.
    WriteConsumer,
    /// Receives messages through a consumer.
    Receive,
    /// Changes where things live.
    Place,
    /// Changes the server's whole JetStream; for the system account.
    Administer,
}

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the subjects")]
pub enum CallKind {
    AccountInfo,
    StreamCreate,
    StreamUpdate,
    StreamNames,
    StreamList,
    StreamInfo,
    StreamDelete,
    StreamPurge,
    MessageGet,
    MessageDelete,
    StreamSnapshot,
    StreamRestore,
    StreamPeerRemove,
    StreamPeerEvacuate,
    StreamCancelMove,
    StreamLeaderStepDown,
    ConsumerCreate,
    ConsumerDurableCreate,
    ConsumerNames,
    ConsumerList,
    ConsumerInfo,
    ConsumerDelete,
    ConsumerPause,
    ConsumerReset,
    ConsumerUnpin,
    ConsumerLeaderStepDown,
    ConsumerPeerRemove,
    ConsumerPeerEvacuate,
    ConsumerNext,
    DirectGet,
    DirectGetLast,
    MetaLeaderStepDown,
    ServerRemove,
    ServerEvacuate,
    MetaRescue,
    AccountPurge,
    AccountStreamMove,
    AccountStreamCancelMove,
}

/// One API subject.
#[derive(Debug)]
pub struct Row {
    /// What follows `$JS.API.`: words, `{stream}`, `{consumer}`, and `{rest}` for one or more tokens.
    pub pattern: &'static str,
    /// Which call it is.
    pub kind: CallKind,
    /// What it does.
    pub action: Action,
    /// The word for its answers: `io.nats.jetstream.api.v1.<word>_response`. Empty where the answer is no JSON.
    pub answer: &'static str,
}

macro_rules! rows {
    ($($pattern:literal $kind:ident $action:ident $answer:literal)*) => {
        /// Every API subject.
        pub const ROWS: &[Row] = &[
            $(Row { pattern: $pattern, kind: CallKind::$kind, action: Action::$action, answer: $answer }),*
        ];
    };
}

rows! {
    "INFO"                                    AccountInfo             ReadAccount    "account_info"
    "STREAM.CREATE.{stream}"                  StreamCreate            WriteStream    "stream_create"
    "STREAM.UPDATE.{stream}"                  StreamUpdate            WriteStream    "stream_update"
    "STREAM.NAMES"                            StreamNames             ReadStream     "stream_names"
    "STREAM.LIST"                             StreamList              ReadStream     "stream_list"
    "STREAM.INFO.{stream}"                    StreamInfo              ReadStream     "stream_info"
    "STREAM.DELETE.{stream}"                  StreamDelete            WriteStream    "stream_delete"
    "STREAM.PURGE.{stream}"                   StreamPurge             RemoveMessages "stream_purge"
    "STREAM.MSG.GET.{stream}"                 MessageGet              ReadMessages   "stream_msg_get"
    "STREAM.MSG.DELETE.{stream}"              MessageDelete           RemoveMessages "stream_msg_delete"
    "STREAM.SNAPSHOT.{stream}"                StreamSnapshot          ReadMessages   "stream_snapshot"
    "STREAM.RESTORE.{stream}"                 StreamRestore           WriteStream    "stream_restore"
    "STREAM.PEER.REMOVE.{stream}"             StreamPeerRemove        Place          "stream_remove_peer"
    "STREAM.PEER.EVACUATE.{stream}"           StreamPeerEvacuate      Place          "stream_evacuate_peer"
    "STREAM.CANCEL_MOVE.{stream}"             StreamCancelMove        Place          "stream_cancel_move"
    "STREAM.LEADER.STEPDOWN.{stream}"         StreamLeaderStepDown    Place          "stream_leader_stepdown"
    "CONSUMER.CREATE.{stream}"                ConsumerCreate          WriteConsumer  "consumer_create"
    "CONSUMER.CREATE.{stream}.{consumer}"     ConsumerCreate          WriteConsumer  "consumer_create"
    "CONSUMER.CREATE.{stream}.{consumer}.{rest}" ConsumerCreate       WriteConsumer  "consumer_create"
    "CONSUMER.DURABLE.CREATE.{stream}.{consumer}" ConsumerDurableCreate WriteConsumer "consumer_create"
    "CONSUMER.NAMES.{stream}"                 ConsumerNames           ReadConsumer   "consumer_names"
    "CONSUMER.LIST.{stream}"                  ConsumerList            ReadConsumer   "consumer_list"
    "CONSUMER.INFO.{stream}.{consumer}"       ConsumerInfo            ReadConsumer   "consumer_info"
    "CONSUMER.DELETE.{stream}.{consumer}"     ConsumerDelete          WriteConsumer  "consumer_delete"
    "CONSUMER.PAUSE.{stream}.{consumer}"      ConsumerPause           WriteConsumer  "consumer_pause"
    "CONSUMER.RESET.{stream}.{consumer}"      ConsumerReset           WriteConsumer  "consumer_reset"
    "CONSUMER.UNPIN.{stream}.{consumer}"      ConsumerUnpin           WriteConsumer  "consumer_unpin"
    "CONSUMER.LEADER.STEPDOWN.{stream}.{consumer}" ConsumerLeaderStepDown Place      "consumer_leader_stepdown"
    "CONSUMER.PEER.REMOVE.{stream}.{consumer}" ConsumerPeerRemove     Place          "consumer_remove_peer"
    "CONSUMER.PEER.EVACUATE.{stream}.{consumer}" ConsumerPeerEvacuate Place          "consumer_evacuate_peer"
    "CONSUMER.MSG.NEXT.{stream}.{consumer}"   ConsumerNext            Receive        ""
    "DIRECT.GET.{stream}"                     DirectGet               ReadMessages   ""
    "DIRECT.GET.{stream}.{rest}"              DirectGetLast           ReadMessages   ""
    "META.LEADER.STEPDOWN"                    MetaLeaderStepDown      Administer     "meta_leader_stepdown"
    "SERVER.REMOVE"                           ServerRemove            Administer     "meta_server_remove"
    "SERVER.EVACUATE"                         ServerEvacuate          Administer     "meta_server_evacuate"
    "META.RESCUE"                             MetaRescue              Administer     "meta_rescue"
    "ACCOUNT.PURGE.{stream}"                  AccountPurge            Administer     "account_purge"
    "ACCOUNT.STREAM.MOVE.{stream}.{consumer}" AccountStreamMove       Administer     "stream_update"
    "ACCOUNT.STREAM.CANCEL_MOVE.{stream}.{consumer}" AccountStreamCancelMove Administer "stream_update"
}

/// A subject that is a call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its row.
    pub row: &'static Row,
    /// The first name in it: usually the stream.
    pub stream: &'a str,
    /// The second name in it: usually the consumer.
    pub consumer: &'a str,
    /// The tokens at its end.
    pub rest: &'a str,
}

impl<'a> Call<'a> {
    /// Finds the row of a subject.
    pub fn parse(subject: &'a str) -> Option<Call<'a>> {
        let tail = subject.strip_prefix(PREFIX)?;
        ROWS.iter().find_map(|row| fit(row, tail))
    }
}

fn fit<'a>(row: &'static Row, tail: &'a str) -> Option<Call<'a>> {
    let mut call = Call { row, stream: "", consumer: "", rest: "" };
    let mut left = tail;
    let mut words = row.pattern.split('.').peekable();
    while let Some(word) = words.next() {
        if word == "{rest}" {
            call.rest = left;
            return (!left.is_empty()).then_some(call);
        }
        let (token, after) = match left.split_once('.') {
            Some((token, after)) => (token, Some(after)),
            None => (left, None),
        };
        match word {
            _ if token.is_empty() => return None,
            "{stream}" => call.stream = token,
            "{consumer}" => call.consumer = token,
            word if word == token => {}
            _ => return None,
        }
        match (after, words.peek()) {
            (Some(after), Some(_)) => left = after,
            (None, None) => return Some(call),
            _ => return None,
        }
    }
    None
}

/// The `type` of answers of this word.
pub fn answer_type(word: &str) -> String {
    format!("io.nats.jetstream.api.v1.{word}_response")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(subject: &str) -> Option<(CallKind, &str, &str, &str)> {
        Call::parse(subject).map(|call| (call.row.kind, call.stream, call.consumer, call.rest))
    }

    #[test]
    fn subjects_find_their_rows() {
        assert_eq!(parts("$JS.API.INFO"), Some((CallKind::AccountInfo, "", "", "")));
        assert_eq!(parts("$JS.API.STREAM.CREATE.S"), Some((CallKind::StreamCreate, "S", "", "")));
        assert_eq!(parts("$JS.API.CONSUMER.CREATE.S"), Some((CallKind::ConsumerCreate, "S", "", "")));
        assert_eq!(parts("$JS.API.CONSUMER.CREATE.S.c"), Some((CallKind::ConsumerCreate, "S", "c", "")));
        assert_eq!(parts("$JS.API.CONSUMER.CREATE.S.c.a.*.>"), Some((CallKind::ConsumerCreate, "S", "c", "a.*.>")));
        assert_eq!(parts("$JS.API.DIRECT.GET.KV_b.$KV.b.k"), Some((CallKind::DirectGetLast, "KV_b", "", "$KV.b.k")));
    }

    #[test]
    fn other_subjects_are_no_calls() {
        for subject in
            ["$JS.API", "$JS.API.", "$JS.API.FOO", "$JS.API.STREAM.CREATE", "$JS.API.STREAM.CREATE.a.b", "x.INFO"]
        {
            assert_eq!(parts(subject), None, "{subject}");
        }
        assert_eq!(parts("$JS.API.DIRECT.GET.S."), None);
    }

    #[test]
    fn no_two_rows_answer_to_one_pattern() {
        let mut patterns: Vec<&str> = ROWS.iter().map(|row| row.pattern).collect();
        patterns.sort_unstable();
        patterns.dedup();
        assert_eq!(patterns.len(), ROWS.len());
    }
}

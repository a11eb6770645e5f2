//! Who wants what: the graph per account, matching, queue choice

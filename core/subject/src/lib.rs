//! Subjects, subject filters, their algebra, transforms and the sublist trie

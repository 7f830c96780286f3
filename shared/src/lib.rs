//! What every capability shares: vocabulary, rules, stores and edges

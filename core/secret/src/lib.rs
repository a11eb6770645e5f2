//! Secret values that neither print nor serialise

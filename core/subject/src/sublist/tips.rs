//! What ends at one place of the list. Nearly always one thing, so one thing costs no allocation.

/// None, one or many.
#[derive(Default)]
pub(super) enum Tips<T> {
    #[default]
    None,
    One(T),
    // Boxed: a `Vec` inline would triple the size of every place.
    #[allow(clippy::box_collection)]
    Many(Box<Vec<T>>),
}

impl<T> Tips<T> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn push(&mut self, value: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(value),
            Self::One(first) => Self::Many(Box::new(vec![first, value])),
            Self::Many(mut all) => {
                all.push(value);
                Self::Many(all)
            }
        };
    }

    /// Order among the remaining things is not kept: removing one of ten thousand must not move the others.
    pub(super) fn remove(&mut self, wanted: &mut impl FnMut(&T) -> bool) -> Option<T> {
        match self {
            Self::One(only) if wanted(only) => match std::mem::take(self) {
                Self::One(only) => Some(only),
                _ => None,
            },
            Self::Many(all) => {
                let removed = all.swap_remove(all.iter().position(wanted)?);
                if all.len() == 1 {
                    *self = all.pop().map_or(Self::None, Self::One);
                }
                Some(removed)
            }
            _ => None,
        }
    }

    #[inline]
    pub(super) fn for_each(&self, found: &mut impl FnMut(&T)) {
        match self {
            Self::None => {}
            Self::One(only) => found(only),
            Self::Many(all) => all.iter().for_each(found),
        }
    }
}

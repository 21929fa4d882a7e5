//! Enums whose variants have a name on the wire and in the database.

/// Declares an enum with `ALL`, `name` and its inverse `from_name`, from one list of variants and names.
macro_rules! text_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// Every variant, in the order of declaration.
            $vis const ALL: [Self; [$($text),*].len()] = [$(Self::$variant,)*];

            /// The name on the wire and in the database.
            #[must_use]
            $vis fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The inverse of [`Self::name`].
            #[must_use]
            $vis fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.name() == name)
            }
        }
    };
}

pub(crate) use text_enum;

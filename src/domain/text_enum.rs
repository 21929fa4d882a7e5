//! Enums whose variants have a name: the word for them on the wire, in the database or in the configuration.

/// Declares an enum with `ALL`, `name` and its inverse `from_name` from one list of variants and names. Further derives and
/// attributes stand above the enum.
macro_rules! text_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $(#[$meta])*
        $vis enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// Every variant, in the order of declaration.
            $vis const ALL: [Self; [$($text),*].len()] = [$(Self::$variant,)*];

            /// The variant's name.
            #[must_use]
            $vis fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The inverse of [`Self::name`].
            #[must_use]
            $vis fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|variant| variant.name() == name)
            }
        }
    };
}

pub(crate) use text_enum;

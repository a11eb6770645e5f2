//! NKeys and XKeys: encode, decode, sign, verify, seal

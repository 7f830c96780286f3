//! The machine-sized home: the whole of Tessera on one computer

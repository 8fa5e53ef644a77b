//! Sources and a prompt in, trace events and a record out.

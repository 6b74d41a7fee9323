"""How to talk to one system: profile, transport, authentication, paging, errors."""

//! Sandboxes of the outside world that speak the providers' own protocols: Stripe, SES

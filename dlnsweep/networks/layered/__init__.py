"""Networks of weight matrices that learn signals from measurements."""

"""Why a network says what it says: where its non-local blocks look, and which places raise the score of a label."""

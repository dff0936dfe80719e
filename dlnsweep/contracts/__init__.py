"""What a problem, a network, a way of descent and an observable must say: read this room first."""

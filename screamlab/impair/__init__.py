"""Break the network on purpose: conditions, their translation to tc, and the way back."""

"""The only room that knows Kopf: watch events in, one reconcile per key."""

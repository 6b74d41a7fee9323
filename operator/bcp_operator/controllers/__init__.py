"""The only room that knows Kopf: events to queue to observe to plan to act."""

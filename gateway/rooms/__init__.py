"""Rooms: one session's captions for any number of viewers."""

from gateway.rooms.room import Publication, Room, Viewer
from gateway.rooms.rooms import Rooms, RoomsHere

__all__ = ["Publication", "Room", "Rooms", "RoomsHere", "Viewer"]

"""Who gains by misreporting, under which rule nobody does, and how wrong the figures may be.

``radius`` says by how much the figures may be off before somebody leaves the agreed contribution,
``robust`` makes schedules steep enough for a given range. Both need nothing but the game.
"""

"""Worker processes for simulations: ManiSkill's, and the tabletop's if it is asked for."""

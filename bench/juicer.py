"""data-juicer's face blur on one clip, with its default settings; run by run.py in a venv that has it.

usage: python bench/juicer.py CLIP FOLDER   -> FOLDER/out.mp4
"""

from __future__ import annotations

import sys
from pathlib import Path

from data_juicer.ops.mapper.video_face_blur_mapper import VideoFaceBlurMapper

clip, folder = sys.argv[1], Path(sys.argv[2])
made = VideoFaceBlurMapper(save_dir=str(folder)).process_single({"videos": [clip]})
Path(made["videos"][0]).rename(folder / "out.mp4")

"""``python3 -m ltspd.manual``: writes the made files below the current directory, where they differ."""

from pathlib import Path

from ltspd.manual.pages import made


def main() -> None:
    """Write them and name those that were changed."""
    for name, text in made(lambda path: Path(path).read_text("utf-8")).items():
        path = Path(name)
        if path.exists() and path.read_text("utf-8") == text:
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        print(name)


if __name__ == "__main__":
    main()

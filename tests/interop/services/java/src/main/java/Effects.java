import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The side effect file the tests count: one line per effect, invocation id, tab, label. */
final class Effects {
  private static final Path FILE = Path.of(System.getenv("SIDE_EFFECTS_FILE"));

  private Effects() {}

  /** Append one side effect, with one write. */
  static void write(String id, String label) throws IOException {
    var line = (id + "\t" + label + "\n").getBytes(StandardCharsets.UTF_8);
    Files.write(FILE, line, StandardOpenOption.APPEND);
  }

  static int written(String id, String label) throws IOException {
    var line = id + "\t" + label;
    try (var lines = Files.lines(FILE)) {
      return (int) lines.filter(line::equals).count();
    }
  }

  /** Write one attempt, and fail it when it is one of the first {@code failing}. */
  static int attempt(String id, int failing) throws IOException {
    write(id, "attempt");
    var number = written(id, "attempt");
    if (number <= failing) {
      throw new IllegalStateException("attempt " + number + " fails");
    }
    return number;
  }
}

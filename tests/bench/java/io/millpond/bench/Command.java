package io.millpond.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One line of standard input: a verb and {@code key=value} fields, separated by tabs. */
final class Command {
  final String verb;
  private final Map<String, String> fields = new HashMap<>();

  Command(String line) {
    String[] parts = line.split("\t");
    verb = parts[0];
    for (int i = 1; i < parts.length; i++) {
      int equals = parts[i].indexOf('=');
      if (equals < 0) {
        throw new IllegalArgumentException("field without '=': " + parts[i]);
      }
      fields.put(parts[i].substring(0, equals), parts[i].substring(equals + 1));
    }
  }

  boolean has(String key) {
    return fields.containsKey(key);
  }

  String text(String key) {
    String value = fields.get(key);
    if (value == null) {
      throw new IllegalArgumentException(verb + " needs the field " + key);
    }
    return value;
  }

  int number(String key) {
    return Integer.parseInt(text(key));
  }

  int number(String key, int otherwise) {
    return has(key) ? number(key) : otherwise;
  }

  long big(String key) {
    return Long.parseLong(text(key));
  }

  /** The lines of the local file that the field names. */
  List<String> lines(String key) throws IOException {
    return Files.readAllLines(Path.of(text(key)));
  }

  /** Fields that begin with {@code prefix}, without it. */
  Map<String, String> below(String prefix) {
    Map<String, String> found = new HashMap<>();
    fields.forEach(
        (key, value) -> {
          if (key.startsWith(prefix)) {
            found.put(key.substring(prefix.length()), value);
          }
        });
    return found;
  }
}

package io.millpond.bench;

import java.util.Map;

/** Writes flat maps of text and numbers as one line of JSON. */
final class Json {
  private Json() {}

  static String of(Map<String, ?> map) {
    StringBuilder out = new StringBuilder("{");
    map.forEach(
        (key, value) -> {
          if (out.length() > 1) {
            out.append(", ");
          }
          quote(out, key);
          out.append(": ");
          if (value instanceof Number) {
            out.append(value);
          } else {
            quote(out, String.valueOf(value));
          }
        });
    return out.append('}').toString();
  }

  private static void quote(StringBuilder out, String text) {
    out.append('"');
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < ' ') {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}

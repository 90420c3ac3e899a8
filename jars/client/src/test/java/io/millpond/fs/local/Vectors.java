package io.millpond.fs.local;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.Paths;

/** The language-neutral vectors under tests/contract/vectors, which pytest reads too. */
public final class Vectors {
    private Vectors() {}

    public static JsonNode read(String name) throws IOException {
        Path root = Paths.get(System.getProperty("millpond.root", "../.."));
        return new ObjectMapper()
                .readTree(root.resolve("tests/contract/vectors").resolve(name).toFile());
    }

    static byte[] bytes(JsonNode hex) {
        String text = hex.textValue();
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}

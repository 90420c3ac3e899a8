package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.nio.file.Paths;
import org.junit.jupiter.api.Test;

/** The errors against the table that the sidecar is tested against too. */
final class ErrorCodeTest {
    private static JsonNode table() throws IOException {
        Path root = Paths.get(System.getProperty("millpond.root"));
        Path vectors = root.resolve("tests/contract/vectors/errors.json");
        return new ObjectMapper().readTree(vectors.toFile());
    }

    @Test
    void codesNamesAndRetriableAreThoseOfTheTable() throws IOException {
        JsonNode table = table();
        assertEquals(table.size(), ErrorCode.values().length);
        for (JsonNode row : table) {
            ErrorCode code = ErrorCode.of(row.get("code").asInt());
            assertEquals(row.get("code").asInt(), code.code());
            assertEquals(row.get("name").asText(), code.label());
            assertEquals(row.get("retriable").asBoolean(), code.retriable());
        }
    }

    @Test
    void eachHasItsClassAndSaysProblemCauseAndRemedy() {
        for (ErrorCode code : ErrorCode.values()) {
            Exception made = code.exception("problem", "cause", "Remedy");
            String name = code == ErrorCode.MILLPOND_ERROR ? "Millpond" : code.label();
            assertEquals("io.millpond.fs." + name + "Exception", made.getClass().getName());
            assertEquals("problem: cause. Remedy", made.getMessage());
            assertEquals(code, ((Fault) made).error());
            assertEquals(code.retriable(), ((Fault) made).retriable());
        }
    }

    @Test
    void enginesMeetTheClassesTheyKnow() {
        assertTrue(
                ErrorCode.PATH_NOT_FOUND.exception("p", "", "") instanceof FileNotFoundException);
        assertTrue(
                ErrorCode.PERMISSION_DENIED.exception("p", "", "")
                        instanceof AccessDeniedException);
        assertTrue(
                ErrorCode.NOT_SUPPORTED.exception("p", "", "")
                        instanceof UnsupportedOperationException);
    }

    @Test
    void aCodeOfANewerPeerIsTheRoot() {
        assertEquals(ErrorCode.MILLPOND_ERROR, ErrorCode.of(9999));
        assertEquals(ErrorCode.MILLPOND_ERROR, ErrorCode.of(0));
        assertEquals(ErrorCode.MILLPOND_ERROR, ErrorCode.of(-5));
    }
}

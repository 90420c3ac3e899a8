package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.millpond.fs.InvalidSettingException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The mount table as a setting: what it says, how it is escaped, what is refused. */
final class MountListTest {
    private static MountTable parse(String text) throws InvalidSettingException {
        return MountList.parse("fs.cache.mounts", text);
    }

    @ParameterizedTest
    @CsvSource({
        "s3a://b/p/q, s3a://b/p/q, s3a://b/p/q/k/f",
        "s3://b/p/, s3a://b/p, s3a://b/p/k/f",
        "S3N://b, s3a://b, s3a://b/k/f",
        "s3a://b/, s3a://b, s3a://b/k/f",
        "file:///, file:///, file:///k/f",
        "file:///d%20e%2Cf%3Dg%25, 'file:///d e,f=g%', 'file:///d e,f=g%/k/f'",
        "hdfs://ns/w%C3%A9, hdfs://ns/wé, hdfs://ns/wé/k/f",
    })
    void aStoreUriNamesTheSamePlaceAsTheSidecars(String uri, String store, String file)
            throws InvalidSettingException {
        Mount mount = parse("/m=" + uri).find("/m/k/f");
        assertEquals(store, mount.storeUri());
        assertEquals(file, mount.uri(mount.key("/m/k/f")));
    }

    @Test
    void separatorsAreCommasAndWhiteSpace() throws InvalidSettingException {
        MountTable table = parse(" /a=file:///1,/b%2C%20c=file:///2\n/a/d=file:///3 ,");
        assertEquals(3, table.mounts().size());
        assertEquals("file:///1", table.find("/a/x").storeUri());
        assertEquals("file:///2", table.find("/b, c").storeUri());
        assertEquals("file:///3", table.find("/a/d/x").storeUri());
        assertTrue(table.published());
        assertNull(parse(" ,\n"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/m", "m=file:///d", "/m=/d", "/m=s3a://", "/m=s3a:///key", "/m=file:///d%2",
                "/m=file:///d%zz", "/m=file:///d,/m=file:///e", "/../m=file:///d",
            })
    void whatCannotBeMeantIsRefused(String text) {
        InvalidSettingException e =
                assertThrows(InvalidSettingException.class, () -> parse(text));
        assertTrue(e.getMessage().contains("fs.cache.mounts"), e.getMessage());
    }
}

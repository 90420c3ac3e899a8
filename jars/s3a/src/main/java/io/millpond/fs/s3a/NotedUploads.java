package io.millpond.fs.s3a;

import io.millpond.fs.Transparent;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Set;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.s3a.S3AFileSystem;
import org.apache.hadoop.fs.s3a.WriteOperations;
import org.apache.hadoop.fs.s3a.impl.S3AMultipartUploaderBuilder;
import org.apache.hadoop.fs.s3a.impl.StoreContext;

/** Makes S3A's multipart uploaders such that the cache hears of each upload that is completed. */
final class NotedUploads {
    private static final Set<String> COMPLETE = Set.of("commitUpload", "completeMPUwithRetries");

    private NotedUploads() {}

    /** As S3A makes its own, with a step between the uploader and what writes to the store. */
    static S3AMultipartUploaderBuilder of(S3AFileSystem system, Path base, Transparent cache)
            throws IOException {
        Path path = system.makeQualified(base);
        StoreContext context = system.createStoreContext();
        WriteOperations given =
                system.createWriteOperationHelper(
                        system.createSpan("multipart_upload", path.toString(), null));
        return new S3AMultipartUploaderBuilder(
                system,
                noted(given, context, cache),
                context,
                path,
                context.getInstrumentation().createMultipartUploaderStatistics());
    }

    private static WriteOperations noted(
            WriteOperations given, StoreContext context, Transparent cache) {
        return (WriteOperations)
                Proxy.newProxyInstance(
                        NotedUploads.class.getClassLoader(),
                        new Class<?>[] {WriteOperations.class},
                        (proxy, method, arguments) -> {
                            try {
                                return invoke(given, method, arguments);
                            } finally {
                                if (COMPLETE.contains(method.getName())) {
                                    cache.changed(context.keyToPath((String) arguments[0]));
                                }
                            }
                        });
    }

    private static Object invoke(Object on, Method method, Object[] arguments) throws Throwable {
        try {
            return method.invoke(on, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }
}

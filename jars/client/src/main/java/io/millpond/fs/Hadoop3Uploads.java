package io.millpond.fs;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.fs.MultipartUploader;
import org.apache.hadoop.fs.MultipartUploaderBuilder;
import org.apache.hadoop.fs.Path;

/**
 * Multipart uploads into a store, of which the cache hears when they are completed. Proxies, since
 * the interfaces have other methods in each Hadoop 3; loaded only when it is called.
 */
final class Hadoop3Uploads {
    private Hadoop3Uploads() {}

    /** {@code changes} may be null. */
    static MultipartUploaderBuilder<?, ?> noted(
            MultipartUploaderBuilder<?, ?> given, StoreChanges changes) {
        return changes == null
                ? given
                : proxy(
                        MultipartUploaderBuilder.class,
                        (self, method, arguments) -> {
                            Object answer = invoke(given, method, arguments);
                            if (answer instanceof MultipartUploader) {
                                return noted((MultipartUploader) answer, changes);
                            }
                            return answer == given ? self : answer;
                        });
    }

    private static MultipartUploader noted(MultipartUploader given, StoreChanges changes) {
        return proxy(
                MultipartUploader.class,
                (self, method, arguments) -> {
                    Object answer = invoke(given, method, arguments);
                    return method.getName().equals("complete")
                            ? ((CompletableFuture<?>) answer)
                                    .whenComplete((x, e) -> changes.changed((Path) arguments[1]))
                            : answer;
                });
    }

    private static <T> T proxy(Class<T> type, InvocationHandler handler) {
        return type.cast(
                Proxy.newProxyInstance(
                        Hadoop3Uploads.class.getClassLoader(), new Class<?>[] {type}, handler));
    }

    private static Object invoke(Object on, Method method, Object[] arguments) throws Throwable {
        try {
            return method.invoke(on, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }
}

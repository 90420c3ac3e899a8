package io.millpond.fs.rpc;

import io.millpond.fs.ErrorCode;
import io.millpond.fs.wire.Wire;
import java.io.IOException;

/** Turns an error frame into what the caller should do: tell the user, or read the store. */
final class RemoteErrors {
    private RemoteErrors() {}

    /**
     * The exception for an error frame: the typed one where the store would say the same to anyone,
     * a {@link SidecarTrouble} around it where a direct read may succeed.
     */
    static IOException of(Wire.Error error) {
        ErrorCode code = ErrorCode.of(error.getCode());
        Exception typed = code.exception(error.getProblem(), error.getCause(), error.getRemedy());
        Fallback reason = reason(code);
        if (reason == null && typed instanceof IOException) {
            return (IOException) typed;
        }
        return new SidecarTrouble(reason == null ? Fallback.SIDECAR_ERROR : reason, typed);
    }

    private static Fallback reason(ErrorCode code) {
        switch (code) {
            case INVALID_PATH:
            case MOUNT_NOT_FOUND:
            case PATH_NOT_FOUND:
            case NOT_A_DIRECTORY:
            case IS_A_DIRECTORY:
            case FILE_CHANGED:
            case MOUNT_READ_ONLY:
            case MOUNT_CONFLICT:
            case CONFLICT:
            case ALREADY_EXISTS:
            case DIRECTORY_NOT_EMPTY:
            case ACROSS_MOUNTS:
            case SESSION_LOST:
            case PENDING_UNREACHABLE:
            case DATA_LOST:
            case BATCH_ENDED:
            case NOT_PERSISTED:
                return null;
            case NOT_A_WRITER:
            case PERMISSION_DENIED:
                return Fallback.PERMISSION;
            case STORE_UNAVAILABLE:
            case STORE_ANSWER_INVALID:
                return Fallback.STORE_UNAVAILABLE;
            case OVERLOADED:
                return Fallback.OVERLOADED;
            case PROTOCOL_MISMATCH:
                return Fallback.PROTOCOL_MISMATCH;
            case UNAUTHENTICATED:
                return Fallback.UNAUTHENTICATED;
            default:
                return Fallback.SIDECAR_ERROR;
        }
    }
}

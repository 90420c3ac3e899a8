package io.millpond.fs;

/** The codes errors have on the wire; the table is shared with the sidecar's {@code errors.py}. */
public enum ErrorCode {
    MILLPOND_ERROR(1, "MillpondError", false, MillpondException::new),
    INTERNAL(2, "Internal", false, InternalException::new),
    INVALID_PATH(3, "InvalidPath", false, InvalidPathException::new),
    MOUNT_NOT_FOUND(4, "MountNotFound", false, MountNotFoundException::new),
    MOUNT_CONFLICT(5, "MountConflict", false, MountConflictException::new),
    MOUNT_READ_ONLY(6, "MountReadOnly", false, MountReadOnlyException::new),
    PATH_NOT_FOUND(7, "PathNotFound", false, PathNotFoundException::new),
    NOT_A_DIRECTORY(8, "NotADirectory", false, NotADirectoryException::new),
    IS_A_DIRECTORY(9, "IsADirectory", false, IsADirectoryException::new),
    PERMISSION_DENIED(10, "PermissionDenied", false, PermissionDeniedException::new),
    FILE_CHANGED(11, "FileChanged", false, FileChangedException::new),
    STORE_UNAVAILABLE(12, "StoreUnavailable", true, StoreUnavailableException::new),
    STORE_ANSWER_INVALID(13, "StoreAnswerInvalid", true, StoreAnswerInvalidException::new),
    STORE_NOT_SUPPORTED(14, "StoreNotSupported", false, StoreNotSupportedException::new),
    NOT_SUPPORTED(15, "NotSupported", false, NotSupportedException::new),
    NO_SPACE(16, "NoSpace", true, NoSpaceException::new),
    CACHE_DIR_UNUSABLE(17, "CacheDirUnusable", false, CacheDirUnusableException::new),
    UNKNOWN_FORMAT(18, "UnknownFormat", false, UnknownFormatException::new),
    CORRUPT(19, "Corrupt", false, CorruptException::new),
    ADDRESS_IN_USE(20, "AddressInUse", false, AddressInUseException::new),
    UNAUTHENTICATED(21, "Unauthenticated", false, UnauthenticatedException::new),
    PROTOCOL_MISMATCH(22, "ProtocolMismatch", false, ProtocolMismatchException::new),
    FRAME_TOO_LARGE(23, "FrameTooLarge", false, FrameTooLargeException::new),
    INVALID_REQUEST(24, "InvalidRequest", false, InvalidRequestException::new),
    INVALID_SETTING(25, "InvalidSetting", false, InvalidSettingException::new),
    SIDECAR_UNAVAILABLE(26, "SidecarUnavailable", true, SidecarUnavailableException::new),
    OVERLOADED(27, "Overloaded", true, OverloadedException::new),
    CONFLICT(28, "Conflict", false, ConflictException::new),
    ALREADY_EXISTS(29, "AlreadyExists", false, AlreadyExistsException::new),
    DIRECTORY_NOT_EMPTY(30, "DirectoryNotEmpty", false, DirectoryNotEmptyException::new),
    ACROSS_MOUNTS(31, "AcrossMounts", false, AcrossMountsException::new),
    SESSION_LOST(32, "SessionLost", false, SessionLostException::new),
    PENDING_UNREACHABLE(33, "PendingUnreachable", true, PendingUnreachableException::new),
    DATA_LOST(34, "DataLost", false, DataLostException::new),
    BATCH_ENDED(35, "BatchEnded", false, BatchEndedException::new),
    NOT_PERSISTED(36, "NotPersisted", true, NotPersistedException::new),
    NOT_A_WRITER(37, "NotAWriter", false, NotAWriterException::new);

    private static final ErrorCode[] BY_CODE = new ErrorCode[values().length + 1];

    static {
        for (ErrorCode each : values()) {
            BY_CODE[each.code] = each;
        }
    }

    private final int code;
    private final String label;
    private final boolean retriable;
    private final Maker maker;

    ErrorCode(int code, String label, boolean retriable, Maker maker) {
        this.code = code;
        this.label = label;
        this.retriable = retriable;
        this.maker = maker;
    }

    public int code() {
        return code;
    }

    /** The error's name, the same in Python, on the wire, in metrics. */
    public String label() {
        return label;
    }

    /** Whether the same call may succeed later without any change by the user. */
    public boolean retriable() {
        return retriable;
    }

    /** A new exception of this kind: a {@link Fault}. */
    public Exception exception(String problem, String cause, String remedy) {
        return maker.make(problem, cause, remedy);
    }

    /** The error of this code; one that a newer peer invented is the root. */
    public static ErrorCode of(int code) {
        return code > 0 && code < BY_CODE.length ? BY_CODE[code] : MILLPOND_ERROR;
    }

    /** Makes an exception of one class. */
    private interface Maker {
        Exception make(String problem, String cause, String remedy);
    }
}

import Glibc
import GuestSource
import Testing

@Suite("standard input")
struct StandardInputSourceTests {
    @Test("arrives whole in full regions, however it was written", arguments: [0, 1, 4095, 4096, 4097, 50_000])
    func regions(size: Int) async throws {
        var random = Seeded()
        let bytes = random.bytes(size)
        var ends: [CInt] = [0, 0]
        // Safety: pipe fills two numbers.
        #expect(unsafe pipe(&ends) == 0)
        defer { close(ends[0]) }
        // Non-blocking, as some parents leave it.
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let writer = Writer(bytes, ends[1])
        writer.start()
        var source = try StandardInputSource(descriptor: ends[0])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { unsafe buffer.deallocate() }
        var all: [UInt8] = []
        while true {
            let count = try await unsafe source.next(into: buffer)
            unsafe all += Array(buffer)[..<count]
            if count < buffer.count { break }
        }
        writer.join()
        #expect(try await unsafe source.next(into: buffer) == 0)
        #expect(all == bytes && source.byteCount == UInt64(size))
    }

    @Test("a terminal and a closed descriptor are refused")
    func refused() async throws {
        let terminal = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        if terminal >= 0 {
            defer { close(terminal) }
            #expect(try await Reading.code { _ = try StandardInputSource(descriptor: terminal) } == .inputIsTerminal)
        }
        #expect(try await Reading.code { _ = try StandardInputSource(descriptor: 1023) } == .notReadable)
    }
}

/// Writes in odd pieces from a thread of its own: the reader blocks its thread, which may be one of few.
private final class Writer {
    private let bytes: [UInt8]
    private let descriptor: CInt
    private var thread = pthread_t()

    init(_ bytes: [UInt8], _ descriptor: CInt) {
        self.bytes = bytes
        self.descriptor = descriptor
    }

    func start() {
        // Safety: the writer is retained for the thread, which releases it.
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let status = unsafe pthread_create(
            &thread, nil,
            { context in
                unsafe Unmanaged<Writer>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, context)
        precondition(status == 0, "a thread can be had")
    }

    func join() { pthread_join(thread, nil) }

    private func run() {
        var done = 0
        while done < bytes.count {
            let piece = Array(bytes[done..<min(done + 777, bytes.count)])
            done += max(0, unsafe write(descriptor, piece, piece.count))
        }
        close(descriptor)
    }
}

import BackupModel
import Effects
import Hypervisors
import Testing

/// libvirt's own test driver: a host with one guest, all in this process.
enum TestDriver {
    static let uri = "test:///default"
    static let isThere = (try? LibvirtHost(uri: uri)) != nil
}

@Suite("libvirt through its library", .enabled(if: TestDriver.isThere, "libvirt is not installed"))
struct LibvirtHostTests {
    @Test("guests, their definitions and disks are read")
    func reads() async throws {
        let host = try LibvirtHost(uri: TestDriver.uri)
        #expect(try host.driver == "TEST")
        #expect(try host.versions["libvirt"] != nil)
        let guests = try host.guests()
        #expect(guests.map(\.name) == ["test"])
        let guest = try #require(guests.first)
        #expect(guest.uuid == "6695eb01-f6a4-8304-79aa-97f2502e193f")
        #expect(try guest.state == .running)
        let definition = try await guest.definition()
        #expect(definition.hypervisor == "libvirt-qemu" && definition.uuid == guest.uuid)
        let xml = try #require(definition.files["domain.xml"])
        #expect(try DomainDefinition(xml: String(decoding: xml, as: UTF8.self)).name == "test")
        let disks = try await guest.disks()
        #expect(disks.map(\.name) == ["vda"] && disks[0].omission == nil)
        #expect(try host.guest(named: guest.uuid).name == "test")
    }

    @Test("what a driver cannot do is said, and nothing is claimed that it cannot")
    func refuses() async throws {
        let host = try LibvirtHost(uri: TestDriver.uri)
        let guest = try host.guest(named: "test")
        #expect(try await guest.capabilities.isEmpty)
        let point = try #require(PointID(hexadecimal: String(repeating: "a", count: 32)))
        let request = CaptureRequest(
            point: point, repository: "0123456789abcdef", bases: [:], excluded: [], scratchFolder: "/tmp")
        await #expect { try await guest.prepare(request) } throws: { error in
            let error = error as? GuestError
            return error?.code == .refused && error?.sentence.contains("back up its images") ?? false
        }
    }

    @Test("a guest, a libvirt and a driver that are not there are told apart")
    func missing() throws {
        let host = try LibvirtHost(uri: TestDriver.uri)
        func code(_ body: () throws(GuestError) -> Void) -> GuestError.Code? {
            do throws(GuestError) { try body() } catch { return error.code }
            return nil
        }
        #expect(code { () throws(GuestError) in _ = try host.guest(named: "nobody") } == .noGuest)
        #expect(code { () throws(GuestError) in _ = try host.guest(named: "") } == .noGuest)
        #expect(code { () throws(GuestError) in _ = try LibvirtHost(uri: "test:///nowhere.xml") } == .unreachable)
        #expect(
            code { () throws(GuestError) in _ = try LibvirtHost(uri: "qemu+unix:///system?socket=/nowhere") }
                == .unreachable)
    }

    @Test("many tasks ask at once")
    func concurrent() async throws {
        let host = try LibvirtHost(uri: TestDriver.uri)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var count = 0
                    for _ in 0..<50 {
                        for guest in try host.guests() { count += try guest.domainDefinition().disks.count }
                    }
                    return count
                }
            }
            for try await count in group { #expect(count == 50) }
        }
    }

    @Test("a watch looks again and again until it is told to stop, or says that it is done")
    func watch() {
        let looks = Counter()
        let watch = PeriodicWatch(milliseconds: 1) { looks.add() < 3 }
        while looks.value < 3 { ThreadPause.take(milliseconds: 1) }
        watch.end()
        watch.end()
        #expect(looks.value == 3)
        let endless = PeriodicWatch(milliseconds: 1) { looks.add() > 0 }
        while looks.value < 10 { ThreadPause.take(milliseconds: 1) }
        endless.end()
        let after = looks.value
        ThreadPause.take(milliseconds: 5)
        #expect(looks.value == after)
    }

    @Test("whom a folder lets pass, as far as modes say")
    func barriers() {
        #expect(PathOwner(user: 65534, group: 65534).barrier(on: "/tmp") == nil)
        #expect(PathOwner(user: 0, group: 0).barrier(on: "/proc/1") == nil)
        #expect(PathOwner(of: "/nowhere") == nil)
        #expect(PathOwner(of: "/")?.user == 0)
    }
}

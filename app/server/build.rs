//! Tells the linker which functions lie side by side (`docs/adr/0035`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=start.ld");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let is_target = of("CARGO_CFG_TARGET_OS") == "linux" && of("CARGO_CFG_TARGET_ARCH") == "x86_64";
    if is_target && of("PROFILE") == "release" {
        println!("cargo::rustc-link-arg-bin=nats-server=-Wl,-T,{}/start.ld", of("CARGO_MANIFEST_DIR"));
    }
}

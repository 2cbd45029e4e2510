//! A device that burn has opened by itself, in a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use burn::tensor::{Device, DeviceKind, Tensor};
use burn_batchnorm::{BatchNormConfig, Error, Route, init_device, route, share};
use common::{assert_close, some, step};

#[test]
fn is_composed_and_said_so_and_one_of_the_programs_own_is_shared() {
    let burns = Device::wgpu(DeviceKind::DefaultDevice).autodiff();
    let before = Tensor::<1>::zeros([1], &burns).into_data();
    assert_eq!(before.num_elements(), 1);
    let Route::Composed { reason } = route(&burns) else { panic!("it is not shared") };
    assert!(reason.contains("opened it before") && reason.contains("init_device"), "{reason}");
    assert!(matches!(init_device(DeviceKind::DefaultDevice), Err(Error::Device { .. })));
    let run = |device: &Device| {
        let sizes = [4, 5, 6, 3];
        let norm = BatchNormConfig::new(5).init(device);
        step(&norm, some(sizes, 1, device), None, some(sizes, 2, device))
    };
    let composed = run(&burns);

    // Another selector of the same adapter, which the program opens.
    let options = Device::wgpu_options().device_kind(DeviceKind::Cpu);
    let Ok((device, setup)) = options.init_with_setup() else {
        println!("there is no second device here");
        return;
    };
    share(&device, &setup).unwrap();
    assert_eq!(route(&device), Route::Shaders);
    let shared = run(&device.autodiff());
    assert_close("y", &shared.y, &composed.y, 1e-5);
    assert_close("dx", &shared.dx, &composed.dx, 5e-5);
    assert_close("running_var", &shared.running_var.unwrap(), &composed.running_var.unwrap(), 1e-5);

    let Err(error) = share(&Device::flex(), &setup) else { panic!("flex is no wgpu device") };
    assert!(matches!(error, Error::OtherBackend { .. }), "{error}");
}
